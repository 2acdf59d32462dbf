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
  held(): number;
  evict(): void;
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
    done(TOO_LARGE);
    return;
  }
  const reception = new Reception({ announced, limit, room, done });
  const gone = (): void => reception.end(GONE);
  request.on('data', (chunk: Buffer) => reception.add(chunk));
  request.on('end', () => reception.complete());
  request.on('error', gone);
  request.on('close', gone);
}

interface Receiving {
  readonly announced: number;
  readonly limit: number;
  readonly room: BodyRoom;
  readonly done: (body: Body) => void;
}

// Each Buffer.alloc(0) is a buffer of its own, for the garbage collector too.
const NO_BYTES = Buffer.alloc(0);
const GONE: Body = { kind: 'gone' };
const NO_ROOM: Body = { kind: 'no-room' };
const TOO_LARGE: Body = { kind: 'too-large' };

// Of what a sender only announces; room for more is made when it comes.
const MOST_IN_ADVANCE = 1024 * 1024;

/** A body in one buffer that grows: a chunk of one byte, kept as it comes, would take a hundred times as much. */
class Reception implements Tenant {
  readonly #receiving: Receiving;
  #buffer: Buffer = NO_BYTES;
  #size = 0;
  #ended = false;

  constructor(receiving: Receiving) {
    this.#receiving = receiving;
    receiving.room.enter(this);
  }

  held(): number {
    return this.#buffer.length;
  }

  evict(): void {
    this.end(NO_ROOM);
  }

  add(chunk: Buffer): void {
    if (this.#ended) return;
    const { limit, room } = this.#receiving;
    const before = this.held();
    this.#append(chunk);
    room.grow(this.held() - before);
    if (this.#size > limit) this.end(TOO_LARGE);
  }

  complete(): void {
    this.end({ kind: 'complete', bytes: this.#bytes() });
  }

  /** Whatever ends it first; the rest of what is sent goes nowhere. */
  end(body: Body): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#receiving.room.leave(this);
    // The request outlives its body for as long as etcd is waited for.
    this.#buffer = NO_BYTES;
    this.#receiving.done(body);
  }

  #append(chunk: Buffer): void {
    const size = this.#size + chunk.length;
    if (this.#size === 0) {
      this.#buffer = chunk;
    } else if (size > this.#buffer.length) {
      const inAdvance = Math.min(this.#receiving.announced, MOST_IN_ADVANCE);
      const larger = Buffer.allocUnsafeSlow(size <= inAdvance ? inAdvance : 2 * size);
      this.#bytes().copy(larger);
      chunk.copy(larger, this.#size);
      this.#buffer = larger;
    } else {
      chunk.copy(this.#buffer, this.#size);
    }
    this.#size = size;
  }

  #bytes(): Buffer {
    const { length } = this.#buffer;
    return this.#size === length ? this.#buffer : this.#buffer.subarray(0, this.#size);
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
