import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutToBytes, eventName, eventObject } from '../../../src/kubernetes/events/event-object.ts';
import type { Series } from '../../../src/kubernetes/events/event-tally.ts';

const SERIES: Series = {
  on: { kind: 'Pod', namespace: 'default', name: 'etcd-0', uid: 'uid-of-etcd-0' },
  announcement: {
    about: [],
    type: 'Warning',
    reason: 'LeaderProtected',
    action: 'Refused',
    message: 'Delete of etcd-0 by alice refused: …',
  },
  firstMs: Date.parse('2026-03-04T05:06:07.089Z'),
  lastMs: Date.parse('2026-03-04T05:07:08.999Z'),
  count: 7,
};

describe('an Event', () => {
  it('of a pod', () => {
    expect(eventObject(SERIES, 'host_1')).toStrictEqual({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: eventName(SERIES, 'host_1'), namespace: 'default' },
      involvedObject: {
        apiVersion: 'v1',
        kind: 'Pod',
        namespace: 'default',
        name: 'etcd-0',
        uid: 'uid-of-etcd-0',
      },
      type: 'Warning',
      reason: 'LeaderProtected',
      action: 'Refused',
      message: 'Delete of etcd-0 by alice refused: …',
      firstTimestamp: '2026-03-04T05:06:07Z',
      lastTimestamp: '2026-03-04T05:07:08Z',
      count: 7,
      source: { component: 'etcd-guard' },
      reportingComponent: 'etcd-guard',
      reportingInstance: 'host_1',
    });
  });

  it('of a guard, and of a pod whose uid nobody knows', () => {
    const guard = { ...SERIES.on, kind: 'EtcdGuard' as const, name: 'etcd', uid: 'u' };
    expect(eventObject({ ...SERIES, on: guard }, 'h')).toMatchObject({
      involvedObject: { apiVersion: 'etcd-guard.io/v1alpha1', kind: 'EtcdGuard', uid: 'u' },
    });
    const pod = JSON.stringify(eventObject({ ...SERIES, on: { ...SERIES.on, uid: null } }, 'h'));
    expect(pod).not.toContain('"uid"');
  });

  it('keeps its name, which no other has', () => {
    const { on, announcement, firstMs } = SERIES;
    const later = { ...SERIES, lastMs: firstMs + 60_000, count: 8 };
    expect(eventName(later, 'host_1')).toBe(eventName(SERIES, 'host_1'));
    const others = [
      eventName(SERIES, 'host_2'),
      eventName({ ...SERIES, firstMs: firstMs + 1 }, 'host_1'),
      eventName({ ...SERIES, on: { ...on, uid: 'another' } }, 'host_1'),
      eventName({ ...SERIES, on: { ...on, kind: 'EtcdGuard' } }, 'host_1'),
      eventName({ ...SERIES, announcement: { ...announcement, type: 'Normal' } }, 'host_1'),
      eventName({ ...SERIES, announcement: { ...announcement, reason: 'QuorumLost' } }, 'host_1'),
    ];
    expect(new Set([eventName(SERIES, 'host_1'), ...others]).size).toBe(others.length + 1);
    expect(eventName(SERIES, 'host_1')).toMatch(/^etcd-0\.[0-9a-f]{16}$/);
  });

  it('has a name that the API server takes, however long the object’s is', () => {
    const name = `${'a'.repeat(198)}-.${'b'.repeat(53)}`;
    const made = eventName({ ...SERIES, on: { ...SERIES.on, name } }, 'host_1');
    expect(made).toMatch(/^a{198}\.[0-9a-f]{16}$/);
  });
});

describe('a message', () => {
  it('is cut to bytes, not inside a character', () => {
    expect(cutToBytes('short', 5)).toBe('short');
    expect(cutToBytes('äöüäöü', 9)).toBe('äöü…');
    expect(cutToBytes('äöüäöü', 10)).toBe('äöü…');
    expect(cutToBytes('😀😀', 7)).toBe('😀…');
    expect(cutToBytes('😀😀', 8)).toBe('😀😀');
    expect(cutToBytes('\ud83d', 8)).toBe('\ufffd');
  });

  it('keeps to its limit whatever it is', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 30 }),
        fc.integer({ min: 3, max: 50 }),
        (text, most) => {
          const cut = cutToBytes(text, most);
          expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(most);
          expect(cut.isWellFormed()).toBe(true);
          const whole = text.toWellFormed();
          const kept = cut === whole ? whole : cut.slice(0, -1);
          expect(whole.startsWith(kept)).toBe(true);
          // No more than one character, of four bytes at most, is lost to being cut.
          const least = cut === whole ? 0 : most - 3;
          expect(Buffer.byteLength(cut)).toBeGreaterThanOrEqual(least);
        },
      ),
    );
  });
});
