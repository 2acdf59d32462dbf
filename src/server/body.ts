import type { IncomingMessage } from 'node:http';

/** How reading a body ended; `gone` is a sender who cut the request off. */
export type Body =
  | { readonly kind: 'complete'; readonly bytes: Buffer }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'gone' };

/** Collects a request's body; once it passes `limit` the rest is discarded unread by us. */
export function readBody(request: IncomingMessage, limit: number): Promise<Body> {
  if (Number(request.headers['content-length'] ?? 0) > limit) {
    return Promise.resolve({ kind: 'too-large' });
  }
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    function collect(chunk: Buffer): void {
      size += chunk.length;
      chunks.push(chunk);
      if (size <= limit) return;
      request.off('data', collect);
      chunks.length = 0;
      resolve({ kind: 'too-large' });
    }
    function gone(): void {
      resolve({ kind: 'gone' });
    }
    request.on('data', collect);
    request.on('end', () => {
      resolve({ kind: 'complete', bytes: join(chunks, size) });
    });
    request.on('error', gone);
    request.on('close', gone);
  });
}

/**
 * JSON.parse takes any depth, but every bracket becomes an object of its own: 8 MiB of them take
 * 300 MiB and two seconds. A pod of etcd's 1.5 MiB has some ten thousands.
 */
const MAX_BRACKETS = 250_000;
const BRACE = 0x7b;
const BRACKET = 0x5b;

/** Parses JSON; undefined (which JSON can't say) when it is none, or built to exhaust memory. */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length > MAX_BRACKETS && countBrackets(bytes) > MAX_BRACKETS) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

function countBrackets(bytes: Buffer): number {
  let count = 0;
  for (const byte of bytes) {
    if (byte === BRACE || byte === BRACKET) count += 1;
  }
  return count;
}

function join(chunks: readonly Buffer[], size: number): Buffer {
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, size);
}
