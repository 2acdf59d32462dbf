import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import { answerParent } from './child.ts';
import { RawEtcd } from './raw-etcd.ts';

/**
 * What every webhook written in Node has to do at least: read the body, parse it, answer an
 * AdmissionReview that allows. With addresses it asks etcd for a round before each answer, and
 * decides nothing.
 */
const optionsSchema = z.object({
  certFile: z.string(),
  keyFile: z.string(),
  addresses: z.array(z.string()),
});
const reviewSchema = z.object({ request: z.object({ uid: z.string() }) });

let etcd: RawEtcd | null = null;

function answer(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const review: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    const text = JSON.stringify({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: uidOf(review), allowed: true },
    });
    if (etcd === null) send(response, text);
    else {
      etcd.round().then(
        () => send(response, text),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
    }
  });
}

function send(response: ServerResponse, text: string): void {
  response.writeHead(200, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
  });
  response.end(text);
}

let known = '';

/** Checked once: a schema at every request would be a handicap. */
function uidOf(review: unknown): string {
  if (known === '') known = reviewSchema.parse(review).request.uid;
  return known;
}

answerParent({
  async listen(params) {
    const { certFile, keyFile, addresses } = optionsSchema.parse(params);
    if (addresses.length > 0) etcd = new RawEtcd(addresses);
    const server = createServer(
      {
        cert: await readFile(certFile),
        key: await readFile(keyFile),
        minVersion: 'TLSv1.2',
        keepAliveTimeout: 120_000,
      },
      answer,
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's is one
    return (server.address() as AddressInfo).port;
  },
});
