import type { IncomingMessage } from 'node:http';

/** How reading a body ended; `gone` is a sender who cut the request off. */
export type Body =
  | { readonly kind: 'complete'; readonly bytes: Buffer }
  | { readonly kind: 'too-large' }
  /** Too much was being received at once, and this was the most of it. */
  | { readonly kind: 'no-room' }
  | { readonly kind: 'gone' };

interface Tenant {
  // No accessor: V8 makes a hidden class in the old generation for each object with a getter of its
  // own, which keeps the closure, and with it the whole request, until that is collected.
  readonly held: () => number;
  readonly evict: () => void;
}

/**
 * What all bodies that are being received may take together. Whoever sends the largest is turned away
 * when there is no more: usual reviews are a few KiB, and get through beside any number of large ones.
 */
export class BodyRoom {
  readonly #bytes: number;
  readonly #tenants = new Set<Tenant>();
  #held = 0;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  enter(tenant: Tenant): void {
    this.#tenants.add(tenant);
  }

  /** Has the tenant, which already counts them, take that many bytes more. */
  grow(bytes: number): void {
    this.#held += bytes;
    while (this.#held > this.#bytes) {
      const [largest] = [...this.#tenants].sort((a, b) => b.held() - a.held());
      if (largest === undefined) return;
      largest.evict();
    }
  }

  leave(tenant: Tenant): void {
    if (this.#tenants.delete(tenant)) this.#held -= tenant.held();
  }
}

/**
 * Collects a request's body and gives it to `done`, once and perhaps at once; when it passes `limit` the
 * rest is discarded unread by us. Not a promise: one costs a review that nobody guards a hundredth of its
 * rate.
 */
export function readBody(
  request: IncomingMessage,
  limit: number,
  room: BodyRoom,
  done: (body: Body) => void,
): void {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > limit) {
    done({ kind: 'too-large' });
    return;
  }
  const collected = new Collected(announced);
  let ended = false;
  const tenant: Tenant = {
    held: () => collected.capacity,
    evict: () => end({ kind: 'no-room' }),
  };
  function end(body: Body): void {
    if (ended) return;
    ended = true;
    request.off('data', collect);
    room.leave(tenant);
    // The request outlives its body for as long as etcd is waited for.
    collected.clear();
    done(body);
  }
  function collect(chunk: Buffer): void {
    const before = collected.capacity;
    collected.add(chunk);
    room.grow(collected.capacity - before);
    if (collected.size > limit) end({ kind: 'too-large' });
  }
  room.enter(tenant);
  request.on('data', collect);
  request.on('end', () => end({ kind: 'complete', bytes: collected.bytes }));
  request.on('error', () => end({ kind: 'gone' }));
  request.on('close', () => end({ kind: 'gone' }));
}

// Of what a sender only announces; room for more is made when it comes.
const MOST_IN_ADVANCE = 1024 * 1024;

/** One buffer that grows: a chunk of one byte, kept as it comes, would take a hundred times as much. */
class Collected {
  readonly #inAdvance: number;
  #buffer: Buffer = Buffer.alloc(0);
  size = 0;

  constructor(announced: number) {
    this.#inAdvance = Math.min(announced, MOST_IN_ADVANCE);
  }

  get capacity(): number {
    return this.#buffer.length;
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.size);
  }

  add(chunk: Buffer): void {
    const size = this.size + chunk.length;
    if (this.size === 0) {
      this.#buffer = chunk;
    } else if (size > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(size <= this.#inAdvance ? this.#inAdvance : 2 * size);
      this.bytes.copy(larger);
      chunk.copy(larger, this.size);
      this.#buffer = larger;
    } else {
      chunk.copy(this.#buffer, this.size);
    }
    this.size = size;
  }

  clear(): void {
    this.#buffer = Buffer.alloc(0);
    this.size = 0;
  }
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
