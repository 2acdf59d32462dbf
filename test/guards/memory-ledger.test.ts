import { describe, expect, it } from 'vitest';
import type { NewReservation } from '../../src/admission/guard-source.ts';
import { memberId } from '../../src/decision/member-id.ts';
import { MemoryLedger } from '../../src/guards/memory-ledger.ts';

const BASE: NewReservation = {
  reason: 'Spared',
  by: 'alice',
  gracePeriodSeconds: 30,
  handOffTo: null,
};

function ledgerAt(startMs = 1_000) {
  let nowMs = startMs;
  const ledger = new MemoryLedger(() => nowMs);
  return {
    ledger,
    pass: (seconds: number) => void (nowMs += seconds * 1_000),
    reserve: (pod: string, entry: Partial<NewReservation> = {}) => {
      const release = ledger.reserve(pod, ledger.read(pod).version, { ...BASE, ...entry });
      if (release === 'conflict') throw new Error('nobody else wrote');
      return release;
    },
    pods: () => ledger.read('').reservations.map(({ pod }) => pod),
  };
}

function seen(state: 'silent' | 'healthy') {
  return (pod: string) => (pod === 'etcd-1' ? state : 'other');
}

describe('a reservation', () => {
  it('is read back with its age, and is the own one of its pod alone', () => {
    const { ledger, reserve, pass } = ledgerAt();
    reserve('etcd-1', { reason: 'NothingToLose', handOffTo: memberId('a1') });
    pass(5);
    const entry = { pod: 'etcd-1', ageMs: 5_000, reason: 'NothingToLose', handOffTo: 'a1' };
    expect(ledger.read('etcd-1').reservations).toEqual([{ ...entry, own: true }]);
    expect(ledger.read('etcd-2').reservations).toEqual([{ ...entry, own: false }]);
  });

  it.each([
    { gracePeriodSeconds: 30, seconds: 150 },
    { gracePeriodSeconds: 0, seconds: 120 },
    { gracePeriodSeconds: 300, seconds: 420 },
    { gracePeriodSeconds: null, seconds: 150 },
    { gracePeriodSeconds: -1, seconds: 120 },
    { gracePeriodSeconds: -600, seconds: 120 },
  ])(
    'with a grace period of $gracePeriodSeconds lives $seconds s',
    ({ gracePeriodSeconds, seconds }) => {
      const { ledger, reserve, pass, pods } = ledgerAt();
      reserve('etcd-1', { gracePeriodSeconds });
      pass(seconds - 0.001);
      expect(pods()).toEqual(['etcd-1']);
      expect(ledger.size).toBe(1);
      pass(0.001);
      expect(ledger.size).toBe(0);
      expect(pods()).toEqual([]);
    },
  );
});

describe('a write', () => {
  it('conflicts with every write since its read', () => {
    const { ledger, reserve } = ledgerAt();
    const { version } = ledger.read('etcd-1');
    reserve('etcd-2');
    expect(ledger.reserve('etcd-1', version, BASE)).toBe('conflict');
    expect(ledger.read('etcd-1').reservations.map(({ pod }) => pod)).toEqual(['etcd-2']);
  });

  it('conflicts with a write for the same pod', () => {
    const { ledger, reserve } = ledgerAt();
    const { version } = ledger.read('etcd-1');
    reserve('etcd-1');
    expect(ledger.reserve('etcd-1', version, BASE)).toBe('conflict');
  });

  it('conflicts with an entry taken back, ended by time, or ended by its member’s return', () => {
    const { ledger, reserve, pass } = ledgerAt();
    const release = reserve('etcd-2');
    const beforeRelease = ledger.read('etcd-1').version;
    release();
    expect(ledger.reserve('etcd-1', beforeRelease, BASE)).toBe('conflict');

    reserve('etcd-2');
    const beforeReturn = ledger.read('etcd-1').version;
    ledger.observe(ledger.read('').readAt, () => 'silent');
    ledger.observe(ledger.read('').readAt, () => 'healthy');
    expect(ledger.reserve('etcd-1', beforeReturn, BASE)).toBe('conflict');

    reserve('etcd-2');
    const beforeEnd = ledger.read('etcd-1').version;
    pass(200);
    expect(ledger.size).toBe(0);
    expect(ledger.reserve('etcd-1', beforeEnd, BASE)).toBe('conflict');
  });

  it('does not conflict with reads', () => {
    const { ledger } = ledgerAt();
    const { version } = ledger.read('etcd-1');
    ledger.read('etcd-2');
    expect(ledger.reserve('etcd-1', version, BASE)).not.toBe('conflict');
  });
});

describe('taking back', () => {
  it('removes the own entry, once', () => {
    const { reserve, pods } = ledgerAt();
    const release = reserve('etcd-1');
    release();
    expect(pods()).toEqual([]);
    reserve('etcd-1');
    release();
    expect(pods()).toEqual(['etcd-1']);
  });

  it('leaves an entry of another pod, and one that has replaced it', () => {
    const { reserve, pods } = ledgerAt();
    const release = reserve('etcd-1');
    reserve('etcd-1');
    reserve('etcd-2');
    release();
    expect(pods()).toEqual(['etcd-1', 'etcd-2']);
  });

  it('lets an entry that it replaced stand again, as long as that would have lived', () => {
    const { ledger, reserve, pass, pods } = ledgerAt();
    reserve('etcd-1', { reason: 'NothingToLose' });
    pass(10);
    reserve('etcd-1', { handOffTo: memberId('a2') })();
    expect(ledger.read('etcd-1').reservations).toEqual([
      { pod: 'etcd-1', own: true, ageMs: 10_000, reason: 'NothingToLose', handOffTo: null },
    ]);
    const release = reserve('etcd-1', { gracePeriodSeconds: 600 });
    pass(145);
    release();
    expect(pods()).toEqual([]);
  });

  it('leaves an entry that somebody relies on', () => {
    const { ledger, reserve, pods } = ledgerAt();
    const release = reserve('etcd-1');
    expect(ledger.keep('etcd-1', ledger.read('etcd-1').readAt)).toBe(true);
    release();
    expect(pods()).toEqual(['etcd-1']);
  });
});

describe('relying on an entry', () => {
  it('is refused once it is gone', () => {
    const { ledger, reserve } = ledgerAt();
    const release = reserve('etcd-1');
    const { readAt } = ledger.read('etcd-1');
    release();
    expect(ledger.keep('etcd-1', readAt)).toBe(false);
  });

  it('is refused once it has been replaced', () => {
    const { ledger, reserve } = ledgerAt();
    reserve('etcd-1');
    const { readAt } = ledger.read('etcd-1');
    reserve('etcd-1');
    expect(ledger.keep('etcd-1', readAt)).toBe(false);
  });

  it('does not prolong it', () => {
    const { ledger, reserve, pass, pods } = ledgerAt();
    reserve('etcd-1');
    pass(100);
    expect(ledger.keep('etcd-1', ledger.read('etcd-1').readAt)).toBe(true);
    pass(50);
    expect(pods()).toEqual([]);
  });
});

describe('a member that is back', () => {
  it('ends its entry if it has been silent before', () => {
    const { ledger, reserve, pods } = ledgerAt();
    reserve('etcd-1');
    reserve('etcd-2');
    expect(ledger.observe(ledger.read('').readAt, seen('healthy'))).toBe(false);
    expect(ledger.observe(ledger.read('').readAt, seen('silent'))).toBe(false);
    expect(ledger.observe(ledger.read('').readAt, () => 'other')).toBe(false);
    expect(pods()).toEqual(['etcd-1', 'etcd-2']);
    expect(ledger.observe(ledger.read('').readAt, seen('healthy'))).toBe(true);
    expect(pods()).toEqual(['etcd-2']);
  });

  it('ends nothing by what was asked before the entry was made', () => {
    const { ledger, reserve, pods } = ledgerAt();
    const early = ledger.read('').readAt;
    reserve('etcd-1');
    ledger.observe(early, () => 'silent');
    ledger.observe(ledger.read('').readAt, () => 'healthy');
    expect(pods()).toEqual(['etcd-1']);
  });

  it('ends nothing by a silence from before somebody relied on the entry', () => {
    const { ledger, reserve, pods } = ledgerAt();
    reserve('etcd-1');
    ledger.observe(ledger.read('').readAt, () => 'silent');
    ledger.keep('etcd-1', ledger.read('etcd-1').readAt);
    ledger.observe(ledger.read('').readAt, () => 'healthy');
    expect(pods()).toEqual(['etcd-1']);
  });

  it('ends nothing by what was asked before it was seen silent', () => {
    const { ledger, reserve, pods } = ledgerAt();
    reserve('etcd-1');
    const early = ledger.read('').readAt;
    ledger.observe(ledger.read('').readAt, () => 'silent');
    ledger.observe(early, () => 'healthy');
    expect(pods()).toEqual(['etcd-1']);
  });
});
