import { expect, it } from 'vitest';
import { whyNotJudged } from '../../../src/cli/status/not-judged.ts';
import type { PodStatus } from '../../../src/cli/status/shown.ts';

function pod(name: string, parts: Partial<PodStatus> = {}): PodStatus {
  return { pod: name, decision: 'allow', reason: 'Spared', message: 'It may go.', ...parts };
}

const SILENT = {
  decision: 'deny',
  reason: 'Unverifiable',
  message: 'failed calling webhook.',
} as const;

it('says once what is the same of several pods, and nothing of those that were judged', () => {
  expect(whyNotJudged([pod('etcd-0'), pod('etcd-1')])).toEqual([]);
  expect(whyNotJudged([pod('etcd-0', SILENT), pod('etcd-1'), pod('etcd-2', SILENT)])).toEqual([
    'etcd-0, etcd-2: failed calling webhook.',
  ]);
});

it('says why nobody could be asked', () => {
  const failed = { decision: null, reason: null, message: 'no right to delete pods' };
  expect(whyNotJudged([pod('etcd-0', failed)])).toEqual(['etcd-0: no right to delete pods']);
});

it('is no flood', () => {
  const pods = Array.from({ length: 9 }, (_, n) =>
    pod(`etcd-${n}`, { ...SILENT, message: `${n}.` }),
  );
  expect(whyNotJudged(pods)).toEqual([
    'etcd-0: 0.',
    'etcd-1: 1.',
    'etcd-2: 2.',
    'And 6 more like that: see -o json.',
  ]);
});
