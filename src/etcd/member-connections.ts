import type { MemberTarget } from './client-options.ts';
import type { ConnectionRoom, Lodger } from './connection-room.ts';
import { MemberConnection } from './member-connection.ts';
import type { ConnectionContext } from './member-connection.ts';
import type { MemberEndpoint } from './port.ts';

// How soon a connection is looked at again that was busy when it should have been closed.
const BUSY_MS = 1000;

interface Kept extends Lodger {
  readonly connection: MemberConnection;
  untilMs: number;
}

/**
 * The connections of one cluster by address: opened on first use, closed when they have not been
 * used for long, or when there is no room for all clusters'.
 */
export class MemberConnections {
  readonly #context: ConnectionContext;
  readonly #room: ConnectionRoom;
  readonly #kept = new Map<string, Kept>();
  #closed = false;
  #cancelSweep: (() => void) | null = null;
  #sweepAtMs = Infinity;

  constructor(context: ConnectionContext, room: ConnectionRoom) {
    this.#context = context;
    this.#room = room;
  }

  /** Keeps it for at least that long from now; null for an endpoint without an address. */
  use(endpoint: MemberEndpoint, keepMs: number): MemberConnection | null {
    const { pod, address } = endpoint;
    if (address === null) return null;
    const serverName = this.#context.tls?.serverName?.replaceAll('{pod}', pod) ?? null;
    const key = serverName === null ? address : `${address} ${serverName}`;
    const untilMs = this.#context.clock.now() + keepMs;
    const kept = this.#kept.get(key) ?? this.#add(key, { address, serverName });
    kept.untilMs = Math.max(kept.untilMs, untilMs);
    if (!this.#closed) this.#sweepBy(kept.untilMs);
    return kept.connection;
  }

  /** What runs may end, and may go on asking; no connection stays open after that. */
  close(): void {
    this.#closed = true;
    this.#cancelSweep?.();
    for (const kept of this.#kept.values()) if (!kept.busy()) kept.leave();
  }

  #add(key: string, target: MemberTarget): Kept {
    const connection = new MemberConnection(target, this.#context, () => {
      // A round that runs may have made one anew after it left.
      if (this.#closed || this.#kept.get(key) !== kept) kept.leave();
    });
    const kept: Kept = {
      cluster: this,
      connection,
      untilMs: 0,
      busy: () => connection.busy,
      leave: () => {
        connection.discard();
        if (this.#kept.get(key) === kept) this.#kept.delete(key);
        this.#room.left(kept);
      },
    };
    this.#room.enter(kept);
    this.#kept.set(key, kept);
    return kept;
  }

  #sweepBy(atMs: number): void {
    if (atMs >= this.#sweepAtMs) return;
    this.#cancelSweep?.();
    this.#sweepAtMs = atMs;
    const { clock } = this.#context;
    this.#cancelSweep = clock.afterIdle(Math.max(0, atMs - clock.now()), () => this.#sweep());
  }

  #sweep(): void {
    this.#sweepAtMs = Infinity;
    const nowMs = this.#context.clock.now();
    let nextMs = Infinity;
    for (const kept of this.#kept.values()) {
      if (kept.untilMs <= nowMs && !kept.busy()) kept.leave();
      else nextMs = Math.min(nextMs, Math.max(kept.untilMs, nowMs + BUSY_MS));
    }
    if (nextMs < Infinity) this.#sweepBy(nextMs);
  }
}
