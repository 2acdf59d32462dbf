import { expect, inject, test } from 'vitest';
import { deleteReview, guardFile, startGuard } from '../harness/guard-process.ts';

/** No member answers: every delete of it is refused. */
const GUARDS = guardFile({
  apiVersion: 'etcd-guard.io/v1alpha1',
  kind: 'EtcdGuard',
  metadata: { name: 'etcd', namespace: 'default' },
  spec: { members: { addresses: { 'etcd-0': '127.0.0.1:1' } } },
});

test('a flood of what is no review has few lines, is counted whole, and hides no refusal', async () => {
  const guard = await startGuard({ program: inject('program'), guards: GUARDS });
  const flood = async (): Promise<void> => {
    for (let nth = 0; nth < 20; nth += 1) {
      const response = await guard.post(deleteReview('etcd-0'), 'nonsense');
      expect(response.status).toBe(404);
    }
  };
  try {
    for (let round = 0; round < 3; round += 1) {
      await flood();
      expect(await guard.review(deleteReview('etcd-0'))).toMatchObject({ allowed: false });
    }
    const counted = await guard.samples('etcdguard_admission_requests_total{');
    const bad = Object.entries(counted).filter(([series]) => series.includes('"BadRequest"'));
    expect(bad.map(([, value]) => value)).toEqual([60]);
    expect(await guard.process.stop()).toMatchObject({ code: 0 });
  } finally {
    await guard.stop();
  }
  const said = (msg: string) => guard.log.filter((line) => line['msg'] === msg);
  const lines = said('refused what is no review').length;
  const leftOut = said('refused more of what is no review').map((line) => Number(line['leftOut']));
  // Should it have taken longer than a minute, there are more than ten.
  expect(lines).toBeLessThan(60);
  expect(leftOut.reduce((sum, more) => sum + more, lines)).toBe(60);
  expect(said('decided').map(({ decision }) => decision)).toEqual(['deny', 'deny', 'deny']);
});
