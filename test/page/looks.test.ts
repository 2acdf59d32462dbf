import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Looks } from '../../src/page/looks.ts';
import type { GuardLook, GuardName } from '../../src/page/port.ts';
import { guardLook } from './guard-look.ts';

const named = (name: string): GuardName => ({ namespace: 'default', name });
const names = (count: number): readonly GuardName[] =>
  Array.from({ length: count }, (_, n) => named(`etcd-${n}`));

/** Answers as soon as it is told to, or at once. */
class Source {
  readonly asked: string[] = [];
  running = 0;
  most = 0;
  readonly #slow: boolean;
  readonly #waiting: (() => void)[] = [];

  constructor(slow = false) {
    this.#slow = slow;
  }

  known = () => [];

  async look({ name }: GuardName): Promise<GuardLook | null> {
    this.asked.push(name);
    this.running += 1;
    this.most = Math.max(this.most, this.running);
    if (this.#slow) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.running -= 1;
    if (name === 'gone') return null;
    if (name === 'broken') throw new Error('the API server does not answer');
    return guardLook({ name });
  }

  answer(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function looksAt(source: Source, perSecond = 20): Looks {
  return new Looks({ source, perSecond, nowMs: () => Date.now(), monotonicMs: () => Date.now() });
}

describe('looks', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('are shared by all who watch, and not repeated while they are young', async () => {
    const source = new Source();
    const looks = looksAt(source);
    await Promise.all([looks.freshen([named('a')], 1_000), looks.freshen([named('a')], 1_000)]);
    await looks.freshen([named('a')], 1_000);
    expect(source.asked).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(1_000);
    await looks.freshen([named('a')], 1_000);
    expect(source.asked).toEqual(['a', 'a']);
  });

  it('tell since when a condition has been so, as far as they have seen it', async () => {
    const source = new Source();
    const times = ['2026-01-15T12:00:00.000Z', '2026-01-15T12:00:05.000Z'];
    source.look = async (guard) => {
      const look = guardLook(guard);
      const [lastTransitionTime = ''] = times.splice(0, 1);
      const conditions = look.status.conditions.map((one) => ({ ...one, lastTransitionTime }));
      return { ...look, status: { ...look.status, conditions } };
    };
    const looks = looksAt(source);
    await looks.freshen([named('a')], 1_000);
    await vi.advanceTimersByTimeAsync(1_000);
    await looks.freshen([named('a')], 1_000);
    expect(times).toEqual([]);
    const conditions = looks.get(named('a'))?.look?.status.conditions ?? [];
    expect(conditions.map(({ type, lastTransitionTime }) => [type, lastTransitionTime])).toEqual([
      ['Reachable', '2026-01-15T12:00:00.000Z'],
      ['Healthy', '2026-01-15T12:00:00.000Z'],
      ['Accepted', '2026-01-15T12:00:00.000Z'],
    ]);
  });

  it('begin so many within any second, however many are asked for', async () => {
    const source = new Source();
    const looks = looksAt(source);
    const all = looks.freshen(names(50), 1_000);
    await vi.advanceTimersByTimeAsync(0);
    expect(source.asked).toHaveLength(20);
    await vi.advanceTimersByTimeAsync(999);
    expect(source.asked).toHaveLength(20);
    await vi.advanceTimersByTimeAsync(1);
    expect(source.asked).toHaveLength(40);
    await vi.advanceTimersByTimeAsync(1_000);
    await all;
    expect(source.asked).toHaveLength(50);
  });

  it('run a few at once, and never two of one guard', async () => {
    const source = new Source(true);
    const looks = looksAt(source);
    const all = looks.freshen(names(10), 1_000);
    await vi.advanceTimersByTimeAsync(5_000);
    void looks.freshen(names(10), 1_000);
    expect(source.asked).toHaveLength(8);
    source.answer();
    await vi.advanceTimersByTimeAsync(0);
    source.answer();
    await all;
    expect(source.asked).toHaveLength(10);
    expect(source.most).toBe(8);
  });

  it('remember what came of them, and tell of it', async () => {
    const looks = looksAt(new Source());
    const heard: string[] = [];
    looks.onLooked((key) => heard.push(key));
    await looks.freshen([named('a'), named('gone'), named('broken')], 1_000);
    expect(heard).toEqual(['default/a', 'default/gone', 'default/broken']);
    expect(looks.get(named('a'))?.look?.guard.name).toBe('a');
    expect(looks.get(named('gone'))).toMatchObject({ look: null, failure: null });
    expect(looks.get(named('broken'))).toMatchObject({
      look: null,
      failure: 'the API server does not answer',
    });
    expect(looks.get(named('never'))).toBeNull();
  });

  it('wait once for their turn, however many more are watched than are remembered', async () => {
    const source = new Source();
    const looks = looksAt(source);
    for (let second = 0; second < 30; second += 1) {
      void looks.freshen(names(300), 900);
      await vi.advanceTimersByTimeAsync(1_000);
    }
    // 20 a second: whoever still waits has had its turn after a quarter of a minute.
    await vi.advanceTimersByTimeAsync(15_000);
    const { length } = source.asked;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(source.asked).toHaveLength(length);
  });

  it('are forgotten where nobody has asked for them lately', async () => {
    const looks = looksAt(new Source(), 1_000);
    await looks.freshen(names(200), 1_000);
    await looks.freshen([named('etcd-0')], 1_000);
    await looks.freshen([named('another')], 1_000);
    expect(looks.get(named('etcd-0'))).not.toBeNull();
    expect(looks.get(named('etcd-1'))).toBeNull();
    expect(looks.get(named('another'))).not.toBeNull();
  });
});
