import { describe, expect, it } from 'vitest';
import { askedOnceMore } from '../../src/cli/ask-once-more.ts';
import type { MemberEndpoint } from '../../src/etcd/port.ts';
import { addressOf, FakeEtcd, type FakeCall } from '../fakes/etcd.ts';

const PODS = ['etcd-0', 'etcd-1', 'etcd-2'];
const ENDPOINTS = PODS.map((pod): MemberEndpoint => ({ pod, address: addressOf(pod) }));
const WITHIN_MS = 20;

/** A cluster whose member is silent to the first call of a kind, in which this process is busy for so long. */
function slowAtFirst(kind: 'ask' | 'prove', busyMs: number) {
  const etcd = new FakeEtcd(PODS);
  let activeMs = 1_000;
  etcd.member('etcd-1').reach = 'hangs';
  etcd.hold = (call: FakeCall, at) => {
    if (call !== kind || at !== 'end') return;
    if (etcd.calls.length === 1) activeMs += busyMs;
    etcd.member('etcd-1').reach = 'answers';
  };
  return { etcd, asked: askedOnceMore(etcd, () => activeMs) };
}

describe('a member that is silent', () => {
  it('while this process was busy itself is asked once more', async () => {
    const { etcd, asked } = slowAtFirst('ask', WITHIN_MS / 2);
    const answers = await asked.ask(ENDPOINTS, WITHIN_MS);
    expect([...answers.values()].map(({ kind }) => kind)).toEqual(['status', 'status', 'status']);
    expect(etcd.calls).toEqual(['ask', 'ask']);
  });

  it('while this process only waited is silent', async () => {
    const { etcd, asked } = slowAtFirst('ask', WITHIN_MS / 2 - 1);
    const answers = await asked.ask(ENDPOINTS, WITHIN_MS);
    expect([...answers.values()].map(({ kind }) => kind)).toEqual(['status', 'silent', 'status']);
    expect(etcd.calls).toEqual(['ask']);
  });

  it('the second time only was heard all the same', async () => {
    const etcd = new FakeEtcd(PODS);
    etcd.member('etcd-1').reach = 'hangs';
    etcd.hold = (_call, at) => {
      if (at !== 'end') return;
      etcd.member('etcd-1').reach = 'answers';
      etcd.member('etcd-2').reach = 'hangs';
    };
    let activeMs = 0;
    const asked = askedOnceMore(etcd, () => (activeMs += WITHIN_MS));
    const answers = await asked.ask(ENDPOINTS, WITHIN_MS);
    expect([...answers.values()].map(({ kind }) => kind)).toEqual(['status', 'status', 'status']);
    expect(etcd.calls).toEqual(['ask', 'ask']);
  });

  it('is not asked a third time', async () => {
    const etcd = new FakeEtcd(PODS);
    etcd.member('etcd-1').reach = 'hangs';
    let activeMs = 0;
    const asked = askedOnceMore(etcd, () => (activeMs += WITHIN_MS));
    expect((await asked.ask(ENDPOINTS, WITHIN_MS)).get('etcd-1')?.kind).toBe('silent');
    expect(etcd.calls).toEqual(['ask', 'ask']);
  });

  it('proves itself the second time, too', async () => {
    const { etcd, asked } = slowAtFirst('prove', WITHIN_MS);
    const proof = await asked.prove(ENDPOINTS, WITHIN_MS);
    expect([...proof.values()].map(({ served }) => served)).toEqual([true, true, true]);
    expect(etcd.calls).toEqual(['prove', 'prove']);
  });
});

it('where everybody answers, nobody is asked again, however busy this process was', async () => {
  const etcd = new FakeEtcd(PODS);
  let activeMs = 0;
  const asked = askedOnceMore(etcd, () => (activeMs += WITHIN_MS));
  await asked.ask(ENDPOINTS, WITHIN_MS);
  await asked.prove(ENDPOINTS, WITHIN_MS);
  expect(etcd.calls).toEqual(['ask', 'prove']);
});
