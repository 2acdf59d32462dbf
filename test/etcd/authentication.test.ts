import { Etcd3 } from 'etcd3';
import { describe, expect, it } from 'vitest';

import { Authentication } from '../../src/etcd/authentication.ts';
import type { Requester } from '../../src/etcd/authentication.ts';
import { systemClock } from '../../src/sharing/clock.ts';
import type { Failure, Outcome } from '../../src/etcd/failure.ts';
import type { MemberRequest } from '../../src/etcd/member-connection.ts';
import { requestWindow } from '../../src/etcd/member-connection.ts';
import { STATUS } from '../../src/etcd/requests.ts';

const CREDENTIALS = { username: 'guard', password: 'secret' };

// What is sent for real is the integration tests' business.
const CLIENT = new Etcd3();
CLIENT.mock({ exec: async () => JSON.parse('{"token":"issued"}') });

function refusal(words: string): Failure {
  return { kind: 'refused', words, connection: 'fine' };
}

/** A member that refuses Status with these words, one a request, and then answers it. */
class FakeMember implements Requester {
  readonly log: string[] = [];
  readonly #refusals: string[];
  authenticate: () => Promise<Failure | null> = () => Promise.resolve(null);

  constructor(...refusals: readonly string[]) {
    this.#refusals = [...refusals];
  }

  request: Requester['request'] = async <T>(
    request: MemberRequest<T>,
    _window: unknown,
    options: { readonly interceptors?: readonly unknown[] },
  ): Promise<Outcome<T>> => {
    const value = await request.send(CLIENT, {});
    if (request.method === null) {
      this.log.push('authenticate');
      const failure = await this.authenticate();
      return failure === null ? { ok: true, value } : { ok: false, failure };
    }
    this.log.push(options.interceptors === undefined ? 'without token' : 'with token');
    const words = this.#refusals.shift();
    return words === undefined ? { ok: true, value } : { ok: false, failure: refusal(words) };
  };
}

function ask(
  authentication: Authentication,
  member: FakeMember,
  onRefusal: (failure: Failure) => void = () => undefined,
): Promise<Outcome<unknown>> {
  const window = requestWindow(systemClock, systemClock.now() + 1000);
  return authentication.request(member, STATUS, window, onRefusal);
}

describe('Authentication', () => {
  it('does not authenticate where etcd tells anybody', async () => {
    const member = new FakeMember();
    const outcome = await ask(new Authentication(CREDENTIALS, systemClock), member);
    expect(outcome).toMatchObject({ ok: true });
    expect(member.log).toEqual(['without token']);
  });

  it.each(['user name is empty', 'permission denied'])(
    'authenticates once after "%s", and tells who watches that the member has answered',
    async (words) => {
      const authentication = new Authentication(CREDENTIALS, systemClock);
      const member = new FakeMember(words);
      const heard: Failure[] = [];
      const first = await ask(authentication, member, (failure) => heard.push(failure));
      expect(first).toMatchObject({ ok: true });
      expect(heard).toEqual([refusal(words)]);
      await ask(authentication, member);
      await ask(authentication, new FakeMember());
      expect(member.log).toEqual(['without token', 'authenticate', 'with token', 'with token']);
    },
  );

  it('shares one authentication among the requests to a member', async () => {
    const authentication = new Authentication(CREDENTIALS, systemClock);
    const member = new FakeMember('user name is empty', 'user name is empty');
    await Promise.all([ask(authentication, member), ask(authentication, member)]);
    expect(member.log.filter((entry) => entry === 'authenticate')).toHaveLength(1);
  });

  it('does not wait for the authentication of another member', async () => {
    const authentication = new Authentication(CREDENTIALS, systemClock);
    const hung = new FakeMember('user name is empty');
    hung.authenticate = () => Promise.withResolvers<null>().promise;
    void ask(authentication, hung);
    expect(await ask(authentication, new FakeMember('user name is empty'))).toMatchObject({
      ok: true,
    });
  });

  it.each(['invalid auth token', 'revision of auth store is old'])(
    'authenticates again after "%s"',
    async (words) => {
      const authentication = new Authentication(CREDENTIALS, systemClock);
      await ask(authentication, new FakeMember('user name is empty'));
      const member = new FakeMember(words);
      expect(await ask(authentication, member)).toMatchObject({ ok: true });
      expect(member.log).toEqual(['with token', 'authenticate', 'with token']);
    },
  );

  it('gives up on a member that takes no token', async () => {
    const refusals = Array.from({ length: 9 }, () => 'invalid auth token');
    const member = new FakeMember(...refusals);
    expect(await ask(new Authentication(CREDENTIALS, systemClock), member)).toEqual({
      ok: false,
      failure: refusal('invalid auth token'),
    });
    expect(member.log.filter((entry) => entry === 'authenticate')).toHaveLength(2);
  });

  it('says which right is missing', async () => {
    const member = new FakeMember('permission denied', 'permission denied');
    expect(await ask(new Authentication(CREDENTIALS, systemClock), member)).toEqual({
      ok: false,
      failure: refusal(
        "user 'guard' lacks the root role, which this etcd wants for Status (permission denied)",
      ),
    });
  });

  it('says that a user is missing', async () => {
    const member = new FakeMember('user name is empty');
    expect(await ask(new Authentication(null, systemClock), member)).toEqual({
      ok: false,
      failure: refusal(
        'this etcd wants a user for Status, and none is configured (user name is empty)',
      ),
    });
  });

  it('counts as refused, whatever authenticating ran into', async () => {
    const member = new FakeMember('user name is empty');
    member.authenticate = () =>
      Promise.resolve({ kind: 'timeout', words: 'no answer in time', connection: 'lost' });
    expect(await ask(new Authentication(CREDENTIALS, systemClock), member)).toEqual({
      ok: false,
      failure: refusal("authentication as 'guard' failed: no answer in time"),
    });
  });
});
