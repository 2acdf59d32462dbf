import { isIP } from 'node:net';

import type { Etcd3 } from 'etcd3';

import { clientOptions } from './client-options.ts';
import type { MemberTarget } from './client-options.ts';
import type { Clock } from '../sharing/clock.ts';
import { failureOf, failureOfLookUp, TIMED_OUT } from './failure.ts';
import type { Failure, Outcome } from './failure.ts';
import type { EtcdMethod, EtcdRequestObserver, TlsSettings } from './port.ts';
import { Session } from './session.ts';

/** What grpc-js takes with each call; etcd3 does not export the type. */
export type CallOptions = NonNullable<Parameters<Etcd3['maintenance']['status']>[0]>;

/** One kind of request; a method that the observer is not told about is null. */
export interface MemberRequest<T> {
  readonly method: EtcdMethod | null;
  send(client: Etcd3, options: CallOptions): Promise<T>;
}

/** The time that a request has, and which connections count as fresh to it. */
export interface RequestWindow {
  /** A connection opened since then is not tried twice. */
  readonly sinceMs: number;
  readonly untilMs: number;
  /** untilMs on the wall clock, as grpc-js wants it. */
  readonly deadline: number;
}

/** From now until that moment of the clock. */
export function requestWindow(clock: Clock, untilMs: number): RequestWindow {
  const sinceMs = clock.now();
  return { sinceMs, untilMs, deadline: Date.now() + untilMs - sinceMs };
}

/** What all connections of one cluster have in common. */
export interface ConnectionContext {
  readonly tls: TlsSettings | null;
  readonly clock: Clock;
  readonly observer: EtcdRequestObserver;
  /** Rejects unless the name resolves. */
  readonly lookup: (host: string) => Promise<unknown>;
}

// One lost connection, and others that broke while it was replaced.
const ATTEMPTS = 4;

/**
 * Asks one member over one connection that is kept, and made anew after any request that was lost
 * on it: grpc-js' own reconnecting backs off, and would make a member that is up again look down.
 */
export class MemberConnection {
  readonly #target: MemberTarget;
  readonly #context: ConnectionContext;
  readonly #onIdle: () => void;
  #session: Session | null = null;
  #opening: Promise<Session | Failure> | null = null;
  #requests = 0;

  constructor(target: MemberTarget, context: ConnectionContext, onIdle: () => void) {
    this.#target = target;
    this.#context = context;
    this.#onIdle = onIdle;
  }

  /** Requests are running. */
  get busy(): boolean {
    return this.#requests > 0;
  }

  /** Its name is being looked up, so nothing has been sent. */
  get resolving(): boolean {
    return this.#opening !== null;
  }

  /** Never rejects; may outlive the window only while a name is being looked up. */
  async request<T>(
    request: MemberRequest<T>,
    window: RequestWindow,
    options: CallOptions,
  ): Promise<Outcome<T>> {
    this.#requests += 1;
    try {
      return await this.#attempt(request, window, options);
    } finally {
      this.#requests -= 1;
      if (this.#requests === 0) this.#onIdle();
    }
  }

  /** Forgets the present connection, so that the next request makes a new one. */
  discard(): void {
    const session = this.#session;
    this.#session = null;
    session?.retire();
  }

  async #attempt<T>(
    request: MemberRequest<T>,
    window: RequestWindow,
    options: CallOptions,
  ): Promise<Outcome<T>> {
    for (let attempt = 1; ; attempt += 1) {
      const opened = this.#session ?? (await this.#open());
      if (!(opened instanceof Session)) return { ok: false, failure: opened };
      const outcome = await this.#send(opened, request, window, options);
      if (outcome.ok || outcome.failure.connection === 'fine') return outcome;
      const again = attempt < ATTEMPTS && worthAnother(outcome.failure, opened, window);
      if (this.#session === opened) this.discard();
      if (!again) return outcome;
    }
  }

  async #send<T>(
    session: Session,
    request: MemberRequest<T>,
    window: RequestWindow,
    options: CallOptions,
  ): Promise<Outcome<T>> {
    const { clock, observer } = this.#context;
    const startMs = clock.now();
    if (startMs >= window.untilMs) return { ok: false, failure: TIMED_OUT };
    let outcome: Outcome<T>;
    try {
      outcome = { ok: true, value: await session.run((client) => request.send(client, options)) };
    } catch (error) {
      outcome = { ok: false, failure: failureOf(error) };
    }
    if (request.method !== null) {
      const seconds = (clock.now() - startMs) / 1000;
      observer.etcdRequest(request.method, observed(outcome), seconds, this.#target.address);
    }
    return outcome;
  }

  /**
   * A name is looked up before grpc-js does it: one look-up at a time, whose failure is known by
   * its code, and whose hanging occupies one thread of the pool rather than one more each round.
   */
  #open(): Promise<Session | Failure> {
    const host = hostOf(this.#target.address);
    if (host === null) {
      return Promise.resolve(refusal(`'${this.#target.address}' is not host:port`));
    }
    if (isIP(host) !== 0) return Promise.resolve(this.#connect());
    this.#opening ??= this.#lookUp(host).finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #lookUp(host: string): Promise<Session | Failure> {
    try {
      await this.#context.lookup(host);
    } catch (error) {
      return failureOfLookUp(error);
    }
    return this.#session ?? this.#connect();
  }

  #connect(): Session | Failure {
    try {
      const { tls, clock } = this.#context;
      this.#session = new Session(clientOptions(this.#target, tls), clock);
      return this.#session;
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      return refusal(`TLS settings that cannot be used: ${cause}`);
    }
  }
}

function worthAnother(failure: Failure, session: Session, window: RequestWindow): boolean {
  // Not after a timeout: there is no time left.
  if (failure.kind === 'timeout') return false;
  return failure.connection === 'not-tried' || session.openedAtMs < window.sinceMs;
}

function observed(outcome: Outcome<unknown>): 'ok' | 'error' | 'timeout' {
  if (outcome.ok) return 'ok';
  return outcome.failure.kind === 'timeout' ? 'timeout' : 'error';
}

function refusal(words: string): Failure {
  return { kind: 'refused', words, connection: 'fine' };
}

/** The host of host:port, an IPv6 literal without its brackets. */
function hostOf(address: string): string | null {
  const groups = /^(?:\[(?<v6>[^\]]+)\]|(?<host>[^:[\]]+)):\d{1,5}$/.exec(address)?.groups;
  return groups?.['v6'] ?? groups?.['host'] ?? null;
}
