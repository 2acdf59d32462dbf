import { connect } from 'node:tls';
import { reasonOf } from './error.ts';
import { boundAddress } from './listen.ts';
import type { WebhookServer } from './webhook-server.ts';

/** Ready, or the sentence that says why not. */
export type Readiness = { readonly ready: true } | { readonly ready: false; readonly why: string };

const CACHE_MS = 1_000;
const HANDSHAKE_MS = 2_000;

/**
 * Makes the check behind /readyz: a TLS handshake with our own port that must present the current
 * certificate. An answer is reused for a second, so that probes can't be used to keep us busy.
 */
export function createReadiness(
  webhook: WebhookServer,
  cacheMs: number = CACHE_MS,
): () => Promise<Readiness> {
  let checkedAtMs = Number.NEGATIVE_INFINITY;
  let last: Promise<Readiness> | undefined;
  return async () => {
    if (webhook.draining) return { ready: false, why: 'shutting down' };
    if (!webhook.server.listening) return { ready: false, why: 'not listening yet' };
    if (webhook.certificate === null) {
      return { ready: false, why: 'no certificate to serve yet; the log says why' };
    }
    const nowMs = performance.now();
    if (last === undefined || nowMs - checkedAtMs > cacheMs) {
      checkedAtMs = nowMs;
      last = checkHandshake(webhook);
    }
    return last;
  };
}

async function checkHandshake(webhook: WebhookServer): Promise<Readiness> {
  try {
    const expected = webhook.certificate?.fingerprint;
    const served = await servedFingerprint(webhook);
    // It may have been replaced while we looked: then either is right.
    if (served === expected || served === webhook.certificate?.fingerprint) return { ready: true };
    return { ready: false, why: 'the HTTPS port serves another certificate than the current one' };
  } catch (error) {
    return { ready: false, why: `no TLS handshake with the HTTPS port: ${reasonOf(error)}` };
  }
}

function servedFingerprint(webhook: WebhookServer): Promise<string | undefined> {
  const { host, port } = boundAddress(webhook.server);
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: loopbackFor(host),
      port,
      // Compared by fingerprint: the name and the authority are the API server's concern.
      rejectUnauthorized: false,
    });
    const timer = setTimeout(() => {
      socket.destroy(new Error(`not within ${HANDSHAKE_MS} ms`));
    }, HANDSHAKE_MS);
    socket.once('secureConnect', () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256);
      // Not destroyed: in TLS 1.3 our side ends first, and the server's would look like a failure.
      socket.end();
    });
    socket.on('error', reject);
    socket.once('close', () => {
      clearTimeout(timer);
      reject(new Error('the connection was closed'));
    });
  });
}

function loopbackFor(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
}
