import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import { answerParent } from './child.ts';

/**
 * What every webhook written in Node has to do at least: read the body, parse it, answer an
 * AdmissionReview that allows.
 */
const optionsSchema = z.object({ certFile: z.string(), keyFile: z.string() });
const reviewSchema = z.object({ request: z.object({ uid: z.string() }) });

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
    response.writeHead(200, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(text),
    });
    response.end(text);
  });
}

let known = '';

/** Checked once: a schema at every request would be a handicap. */
function uidOf(review: unknown): string {
  if (known === '') known = reviewSchema.parse(review).request.uid;
  return known;
}

answerParent({
  async listen(params) {
    const { certFile, keyFile } = optionsSchema.parse(params);
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
