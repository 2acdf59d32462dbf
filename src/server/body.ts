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
      // The request outlives its body for as long as etcd is waited for.
      chunks.length = 0;
    });
    request.on('error', gone);
    request.on('close', gone);
  });
}

/** Parses JSON; undefined, which JSON can't say, when it is none. */
export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/**
 * What a pod could hold at most: 3 MiB of JSON in which every sixth byte separates two values.
 * 8 MiB of nothing but keys or brackets would take 300 MiB of heap, and the process with it.
 */
export const MAX_VALUES = 500_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Each of `, : [ {` stands before a value (or a key) of its own. */
const SEPARATORS = new Uint8Array(256);
for (const separator of ',:[{') SEPARATORS[separator.charCodeAt(0)] = 1;

/** Whether JSON would become more values than any pod has; counted without building them. */
export function isTooDense(bytes: Buffer): boolean {
  if (bytes.length <= MAX_VALUES) return false;
  let values = 0;
  let inString = false;
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index] ?? 0;
    if (byte === QUOTE) inString = !inString;
    else if (!inString) values += SEPARATORS[byte] ?? 0;
    else if (byte === BACKSLASH) index += 1;
  }
  return values > MAX_VALUES;
}

function join(chunks: readonly Buffer[], size: number): Buffer {
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, size);
}
