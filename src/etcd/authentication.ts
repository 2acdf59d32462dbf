import type { Clock } from '../sharing/clock.ts';
import type { Failure, Outcome } from './failure.ts';
import { requestWindow } from './member-connection.ts';
import type {
  CallOptions,
  MemberConnection,
  MemberRequest,
  RequestWindow,
} from './member-connection.ts';
import type { ConnectionSettings } from './port.ts';

type Credentials = NonNullable<ConnectionSettings['auth']>;
type Interceptor = NonNullable<CallOptions['interceptors']>[number];

/** What of a connection this needs. */
export type Requester = Pick<MemberConnection, 'request'>;

/** How somebody who no longer waits for a request can tell that the member did answer. */
export type OnRefusal = (failure: Failure) => void;

interface Token {
  readonly value: string;
  readonly interceptor: Interceptor;
}

// Checking a password takes etcd 0.1 s of its processor, and a write that needs the quorum.
const AUTHENTICATE_MS = 5000;
// With the token at hand, then with a new one, then with one that this member issued itself.
const ATTEMPTS = 3;

/**
 * Sends requests that some versions of etcd want a user for. Authenticating is a write, which a
 * cluster without quorum cannot serve, while most versions tell anybody their status: so it is done
 * only when a member has refused without it. etcd3's own way uses a channel without our options.
 */
export class Authentication {
  readonly #credentials: Credentials | null;
  readonly #clock: Clock;
  readonly #running = new Map<Requester, Promise<Outcome<Token>>>();
  #token: Token | null = null;

  constructor(credentials: Credentials | null, clock: Clock) {
    this.#credentials = credentials;
    this.#clock = clock;
  }

  /** Tells onRefusal of a refusal that it tries to overcome. */
  async request<T>(
    connection: Requester,
    request: MemberRequest<T>,
    window: RequestWindow,
    onRefusal: OnRefusal,
  ): Promise<Outcome<T>> {
    for (let attempt = 1; ; attempt += 1) {
      const token = this.#token;
      const outcome = await connection.request(request, window, callOptions(window, token));
      if (outcome.ok || outcome.failure.kind !== 'refused') return outcome;
      if (attempt === ATTEMPTS || !curable(outcome.failure, token)) {
        return this.#explained(outcome.failure, request);
      }
      if (this.#credentials === null) return this.#explained(outcome.failure, request);
      onRefusal(outcome.failure);
      const renewed = await this.#renew(connection, token, this.#credentials);
      if (!renewed.ok) return renewed;
    }
  }

  #explained(failure: Failure, request: MemberRequest<unknown>): Outcome<never> {
    return { ok: false, failure: { ...failure, words: this.#words(failure.words, request) } };
  }

  #words(refusal: string, { method }: MemberRequest<unknown>): string {
    if (refusal === 'user name is empty' && this.#credentials === null) {
      return `this etcd wants a user for ${method}, and none is configured (${refusal})`;
    }
    if (refusal !== 'permission denied') return refusal;
    const user =
      this.#credentials === null
        ? "the client certificate's user"
        : `user '${this.#credentials.username}'`;
    return `${user} lacks the root role, which this etcd wants for ${method} (${refusal})`;
  }

  /** Shared by member: one that cannot authenticate must not hold up the others. */
  #renew(
    connection: Requester,
    stale: Token | null,
    credentials: Credentials,
  ): Promise<Outcome<Token>> {
    if (this.#token !== null && this.#token !== stale) {
      return Promise.resolve({ ok: true, value: this.#token });
    }
    const running = this.#running.get(connection);
    if (running !== undefined) return running;
    const begun = this.#authenticate(connection, credentials).finally(() => {
      this.#running.delete(connection);
    });
    this.#running.set(connection, begun);
    return begun;
  }

  async #authenticate(
    connection: Requester,
    { username, password }: Credentials,
  ): Promise<Outcome<Token>> {
    const window = requestWindow(this.#clock, this.#clock.now() + AUTHENTICATE_MS);
    const outcome = await connection.request(
      {
        method: null,
        send: (client, options) => client.auth.authenticate({ name: username, password }, options),
      },
      window,
      callOptions(window, null),
    );
    if (!outcome.ok) return { ok: false, failure: failedToAuthenticate(username, outcome.failure) };
    this.#token = tokenOf(outcome.value.token);
    return { ok: true, value: this.#token };
  }
}

/** Options of a call that carries no token. */
export function callOptions(window: RequestWindow, token: Token | null): CallOptions {
  const { deadline } = window;
  return token === null ? { deadline } : { deadline, interceptors: [token.interceptor] };
}

/** etcd had answered before it was asked to authenticate: whatever went wrong then, it is not silent. */
function failedToAuthenticate(username: string, failure: Failure): Failure {
  return {
    kind: 'refused',
    words: `authentication as '${username}' failed: ${failure.words}`,
    connection: 'fine',
  };
}

/** A token of this user would help; a right that the user lacks is not to be had. */
function curable(failure: Failure, token: Token | null): boolean {
  switch (failure.words) {
    case 'user name is empty':
    case 'invalid auth token':
    case 'revision of auth store is old':
      return true;
    case 'permission denied':
      return token === null;
    default:
      return false;
  }
}

/** Not as grpc-js' own call credentials: those are for TLS only, which etcd does not insist on. */
function tokenOf(value: string): Token {
  return {
    value,
    interceptor(options, nextCall) {
      const call = nextCall(options);
      const start = call.start.bind(call);
      // Not call.start = …: a function assigned like that outlives its request (ended-streams.ts).
      Object.assign<typeof call, Pick<typeof call, 'start'>>(call, {
        start: (metadata, listener) => {
          metadata.set('token', value);
          start(metadata, listener);
        },
      });
      // Typed as grpc-js' own class, of which it uses nothing but the interface.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      return call as ReturnType<Interceptor>;
    },
  };
}
