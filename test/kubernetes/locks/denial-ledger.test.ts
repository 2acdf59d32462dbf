import { beforeEach, describe, expect, test } from 'vitest';
import { ApiError } from '../../../src/kubernetes/api/api.ts';
import { DenialLedger } from '../../../src/kubernetes/locks/denial-ledger.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import { FakeClock } from '../../sharing/fake-clock.ts';
import { lockObject } from './lock-objects.ts';

const LOCK = { namespace: 'default', name: 'lockred', uid: 'uid-of-lockred' };
const START = Date.parse('2026-05-01T12:00:00Z');

let api: FakeKubernetes;
let clock: FakeClock;
let lost: number;

beforeEach(() => {
  api = new FakeKubernetes(lockObject());
  clock = new FakeClock();
  lost = 0;
});

function ledger(): DenialLedger {
  const began = clock.now();
  return new DenialLedger({
    api,
    clock,
    nowMs: () => START + clock.now() - began,
    onLost: (_error, denials) => (lost += denials),
  });
}

function deny(to: DenialLedger, user = 'alice', lock = LOCK): void {
  to.denied({ lock, user, resource: 'pods', name: 'my-pod' });
}

function status(): unknown {
  return api.at('ExclusiveLock', 'lockred')['status'];
}

function writes(): number {
  return api.calls.filter(({ verb }) => verb === 'replace').length;
}

describe('denials', () => {
  test('are written soon, and then many by one write', async () => {
    const written = ledger();
    deny(written);
    await clock.advance(10);
    expect(status()).toEqual({
      denials: 1,
      lastDenied: {
        time: '2026-05-01T12:00:00.000Z',
        user: 'alice',
        resource: 'pods',
        name: 'my-pod',
      },
    });
    for (let times = 0; times < 100; times += 1) deny(written, 'bob');
    await clock.advance(2_500);
    expect([writes(), status()]).toMatchObject([1, { denials: 1 }]);
    await clock.advance(1_000);
    expect([writes(), status()]).toMatchObject([2, { denials: 101, lastDenied: { user: 'bob' } }]);
    await clock.advance(60_000);
    expect([writes(), clock.timers]).toEqual([2, 0]);
  });

  test('of two replicas add up, whoever writes first', async () => {
    const [one, other] = [ledger(), ledger()];
    for (let times = 0; times < 5; times += 1) {
      deny(one, 'alice');
      deny(other, 'bob');
      await clock.advance(1_000);
    }
    await clock.advance(60_000);
    expect(status()).toMatchObject({ denials: 10 });
    expect(lost).toBe(0);
  });

  test('keep what else stands in the status', async () => {
    api.change('ExclusiveLock', 'lockred', (object) => ({
      ...object,
      status: {
        matched: 3,
        novelty: true,
        lastDenied: { time: '2026-05-01T13:00:00Z', user: 'carl', resource: 'pods', name: 'x' },
      },
    }));
    const written = ledger();
    deny(written);
    await clock.advance(10);
    expect(status()).toMatchObject({
      matched: 3,
      novelty: true,
      denials: 1,
      lastDenied: { user: 'carl' },
    });
  });

  test('wait for an API server that is away, but not for ever', async () => {
    api.fault = () => new ApiError('unreachable', 'away');
    const written = ledger();
    deny(written);
    await clock.advance(2_000);
    deny(written);
    api.fault = () => null;
    await clock.advance(30_000);
    expect([status(), lost]).toMatchObject([{ denials: 2 }, 0]);
    api.fault = () => new ApiError('unreachable', 'away');
    deny(written);
    await clock.advance(600_000);
    expect([status(), lost, clock.timers]).toMatchObject([{ denials: 2 }, 1, 0]);
  });

  test('of a lock that is gone, or another by its name, are forgotten', async () => {
    const written = ledger();
    deny(written, 'alice', { ...LOCK, uid: 'uid-before' });
    deny(written, 'alice', { ...LOCK, name: 'gone' });
    await clock.advance(60_000);
    expect([status(), lost, clock.timers]).toEqual([undefined, 0, 0]);
  });

  test('that wait are written at the end', async () => {
    const written = ledger();
    deny(written);
    await clock.advance(10);
    deny(written);
    await written.close(2_000);
    expect(status()).toMatchObject({ denials: 2 });
  });

  test('of more locks than can wait are lost, and told', () => {
    const written = ledger();
    for (let at = 0; at < 300; at += 1) deny(written, 'alice', { ...LOCK, name: `lock-${at}` });
    expect(lost).toBe(300 - 256);
  });
});
