import { describe, expect, test } from 'vitest';
import { recordOf } from '../../src/admission/json.ts';
import { GuardSourceError } from '../../src/admission/guard-source.ts';
import { createLockHandler, type LockSource } from '../../src/locks/answer.ts';
import type { Lock } from '../../src/locks/lock.ts';
import { lock, RED_POD, request } from './world.ts';

const AT = { timeoutMs: 10_000, arrivedAtMs: 0 };

function review(changes: Readonly<Record<string, unknown>> = {}): unknown {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: request(changes),
  };
}

interface Told {
  readonly reads: string[];
  readonly judged: string[];
  readonly failed: string[];
}

function handler(
  locks: readonly Lock[] | Error = [lock()],
  object: Readonly<Record<string, unknown>> | null = RED_POD,
) {
  const told: Told = { reads: [], judged: [], failed: [] };
  const source: LockSource = {
    locksIn(namespace) {
      told.reads.push(`locks in ${namespace}`);
      return locks instanceof Error ? Promise.reject(locks) : Promise.resolve(locks);
    },
    read({ resource, name }) {
      told.reads.push(`${resource}/${name}`);
      return Promise.resolve(object);
    },
  };
  const handle = createLockHandler({
    source,
    observer: {
      judged: (_, verdict) => told.judged.push(verdict.reason),
      failed: (_, error) => told.failed.push(String(error)),
    },
    adviceOn: (written) => [`advice on ${String(recordOf(written['metadata'])['name'])}`],
    nowMs: () => 0,
  });
  return { handle: (body: unknown) => handle(body, AT), told };
}

describe('a review of what is locked', () => {
  test('is refused with the sentence, its reason, and what the audit log needs', async () => {
    const { handle, told } = handler();
    expect(await handle(review())).toEqual({
      status: 200,
      body: {
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: {
          uid: 'u-1',
          allowed: false,
          status: {
            status: 'Failure',
            message:
              'denied by ExclusiveLock default/lockred (aura=red): only ServiceAccount default/jonny-op may UPDATE pods here; restoring from snapshot',
            reason: 'Forbidden',
            code: 403,
            details: { causes: [{ reason: 'Locked' }] },
          },
          auditAnnotations: { decision: 'deny', reason: 'Locked', lock: 'default/lockred' },
        },
      },
    });
    expect(told).toEqual({ reads: ['locks in default'], judged: ['Locked'], failed: [] });
  });

  test('is allowed without a word where no lock holds', async () => {
    const { handle } = handler([]);
    expect(await handle(review())).toMatchObject({
      body: { response: { uid: 'u-1', allowed: true } },
    });
  });

  test('of an eviction is refused with 403 as well: a retry is no use', async () => {
    const { handle, told } = handler();
    const eviction = review({
      operation: 'CREATE',
      subResource: 'eviction',
      oldObject: null,
      object: { metadata: { name: 'my-pod' } },
    });
    expect(await handle(eviction)).toMatchObject({
      body: { response: { allowed: false, status: { code: 403 } } },
    });
    expect(told.reads).toEqual(['locks in default', 'pods/my-pod']);
  });

  test('of an object that is not there is left to the API server', async () => {
    const { handle } = handler([lock()], null);
    const scale = review({ subResource: 'scale', oldObject: {}, object: {} });
    expect(await handle(scale)).toMatchObject({ body: { response: { allowed: true } } });
  });

  test('reads the object only where a lock could hold it', async () => {
    const { handle, told } = handler([lock({ resources: ['secrets'] })]);
    expect(await handle(review({ subResource: 'scale' }))).toMatchObject({
      body: { response: { allowed: true } },
    });
    expect(told.reads).toEqual(['locks in default']);
  });

  test('of a kubelet’s status reads nothing', async () => {
    const { handle, told } = handler();
    const userInfo = { username: 'system:node:a', groups: ['system:nodes'] };
    expect(await handle(review({ subResource: 'status', userInfo }))).toMatchObject({
      body: { response: { allowed: true } },
    });
    expect(told).toEqual({ reads: [], judged: ['Essential'], failed: [] });
  });

  test('says a warning to who may pass only for now', async () => {
    const { handle } = handler([lock({ enforcement: 'Warn' })]);
    expect(await handle(review())).toMatchObject({
      body: {
        response: {
          allowed: true,
          warnings: [expect.stringMatching(/^would be denied by ExclusiveLock default\/lockred/)],
        },
      },
    });
  });
});

describe('a review of a lock', () => {
  const resource = { group: 'etcd-guard.io', version: 'v1alpha1', resource: 'exclusivelocks' };
  const written = { metadata: { name: 'lockred' } };

  test.each(['CREATE', 'UPDATE'])('brings advice on it: %s', async (operation) => {
    const { handle } = handler([]);
    expect(await handle(review({ operation, resource, object: written }))).toMatchObject({
      body: { response: { allowed: true, warnings: ['advice on lockred'] } },
    });
  });

  test.each([
    ['its end', { operation: 'DELETE', resource, object: null, oldObject: written }],
    ['its status', { subResource: 'status', resource, object: written }],
    ['something else', { object: written }],
  ])('brings none on %s', async (_what, changes) => {
    const { handle } = handler([]);
    const answer = await handle(review(changes));
    expect(answer).toMatchObject({ body: { response: { allowed: true } } });
    expect(JSON.stringify(answer)).not.toContain('advice');
  });
});

describe('what can’t be judged', () => {
  test('is refused, with the sentence of what could not be read', async () => {
    const { handle, told } = handler(new GuardSourceError('the API server does not answer.'));
    expect(await handle(review())).toMatchObject({
      body: {
        response: {
          allowed: false,
          status: { code: 500, message: 'the API server does not answer.' },
        },
      },
    });
    expect(told.failed).toHaveLength(1);
  });

  test('is refused without the words of an error of our own', async () => {
    const { handle } = handler(new TypeError('secret of the house'));
    const answer = await handle(review());
    expect(answer).toMatchObject({ body: { response: { allowed: false, status: { code: 500 } } } });
    expect(JSON.stringify(answer)).not.toContain('secret of the house');
  });

  test.each([null, [], 'x', 7, {}, { request: {} }, { request: { uid: 7 } }])(
    'for want of a uid is a bad request: %j',
    async (body) => {
      const { handle, told } = handler();
      expect(await handle(body)).toMatchObject({ status: 400 });
      expect(told).toEqual({ reads: [], judged: [], failed: [expect.any(String)] });
    },
  );
});
