import { describe, expect, it } from 'vitest';
import { createReviewHandler, type AdmitContext } from '../../src/admission/admit.ts';
import { GuardSourceError, type GuardSource } from '../../src/admission/guard-source.ts';
import type { ReviewContext } from '../../src/admission/review.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { Recorder } from '../../src/telemetry/recorder.ts';
import { FakeEtcd } from '../fakes/etcd.ts';
import { loadedGuard, sourceOf } from '../fakes/guards.ts';
import { deleteReview } from '../harness/guard-process.ts';
import { systemClock } from '../../src/sharing/clock.ts';
import { Turns } from '../../src/sharing/turns.ts';

const PODS = ['etcd-0', 'etcd-1', 'etcd-2'];
const files = sourceOf(new FakeEtcd(PODS), loadedGuard({ pods: PODS }));
const remote: GuardSource = { read: async (subject) => files.read(subject) };
const away = new GuardSourceError('Refused, since the API server is away.');
const throwing: GuardSource = {
  atHand: true,
  read() {
    throw away;
  },
};
const rejecting: GuardSource = { read: () => Promise.reject(away) };

const ALLOWED = { allowed: true };
const REFUSED = { allowed: false, status: { code: 403 } };
const FAILED = { allowed: false, status: { code: 500, message: away.message } };

function broken(): never {
  throw new Error('nobody takes it');
}

function arrived(): ReviewContext {
  return { timeoutMs: 2_000, arrivedAtMs: performance.now() };
}

function handlerOf(guards: GuardSource, ports: Partial<AdmitContext> = {}) {
  const recorder = new Recorder('test');
  const handle = createReviewHandler({
    turns: new Turns(systemClock),
    guards,
    recorder,
    log: createLogger('error', { write: () => undefined }),
    announce: () => undefined,
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    ...ports,
  });
  return { handle, recorder };
}

/** Of all series of that name. */
async function sumOf(recorder: Recorder, name: string): Promise<number> {
  const { body } = await recorder.exposition('');
  const lines = body.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'));
  return Array.from(lines, ([, value]) => Number(value)).reduce((sum, value) => sum + value, 0);
}

const IN_FLIGHT = 'etcdguard_admission_requests_in_flight';
const ANSWERED = 'etcdguard_admission_requests_total';

describe('a review', () => {
  it.each<[string, GuardSource, string, boolean, object]>([
    ['that no guard selects is answered at once', files, 'other', true, ALLOWED],
    ['that no guard can be had for is refused at once', throwing, 'etcd-0', true, FAILED],
    ['of a guarded pod waits for etcd', files, 'etcd-0', false, REFUSED],
    ['waits for guards', remote, 'other', false, ALLOWED],
    ['waits for guards in vain', rejecting, 'etcd-0', false, FAILED],
  ])('%s, and is counted once', async (_what, source, pod, atOnce, response) => {
    const { handle, recorder } = handlerOf(source);
    const answer = handle(deleteReview(pod), arrived());
    expect(answer instanceof Promise).toBe(!atOnce);
    expect(await answer).toMatchObject({ status: 200, body: { response } });
    expect(await sumOf(recorder, ANSWERED)).toBe(1);
    expect(await sumOf(recorder, IN_FLIGHT)).toBe(0);
  });

  it.each<[string, Partial<AdmitContext>]>([
    ['is not kept', { keepDecision: broken }],
    ['is not announced', { announce: broken }],
    ['is not logged', { log: createLogger('info', { write: broken }) }],
  ])('whose answer %s is answered all the same, and counted once', async (_what, ports) => {
    for (const [source, response] of [
      [files, REFUSED],
      [throwing, FAILED],
    ] as const) {
      const { handle, recorder } = handlerOf(source, ports);
      const answer = await handle(deleteReview('etcd-0'), arrived());
      expect(answer).toMatchObject({ status: 200, body: { response } });
      expect(await sumOf(recorder, ANSWERED)).toBe(1);
      expect(await sumOf(recorder, IN_FLIGHT)).toBe(0);
    }
  });

  it('is in flight while it waits', async () => {
    const { promise: asked, resolve } = Promise.withResolvers<undefined>();
    const slow: GuardSource = {
      async read(subject) {
        await asked;
        return files.read(subject);
      },
    };
    const { handle, recorder } = handlerOf(slow);
    const answer = handle(deleteReview('other'), arrived());
    expect(await sumOf(recorder, IN_FLIGHT)).toBe(1);
    expect(await sumOf(recorder, ANSWERED)).toBe(0);
    resolve(undefined);
    await answer;
    expect(await sumOf(recorder, IN_FLIGHT)).toBe(0);
  });
});
