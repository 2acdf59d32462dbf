import { describe, expect, it } from 'vitest';
import {
  lastKnownNote,
  lastWritten,
  recordedNote,
} from '../../../src/cli/status/recorded-status.ts';
import type { KubernetesObject } from '../../../src/kubernetes/api/api.ts';

const NOW = Date.parse('2026-03-04T12:00:00Z');

function written(...fields: readonly (readonly [time: string, part: string])[]): KubernetesObject {
  const managedFields = fields.map(([time, part]) => ({ time, fieldsV1: { [part]: {} } }));
  const metadata = { name: 'etcd', uid: 'u', resourceVersion: '1', managedFields };
  return { metadata };
}

describe('a recorded status', () => {
  it('is as old as the last write to it, whoever else has written since', () => {
    const object = written(
      ['2026-03-04T11:00:00Z', 'f:status'],
      ['2026-03-04T11:30:00Z', 'f:status'],
      ['2026-03-04T11:59:00Z', 'f:spec'],
    );
    expect(lastWritten(object)).toBe('2026-03-04T11:30:00Z');
  });

  it.each([
    ['2026-03-04T11:59:50Z', '10 s'],
    ['2026-03-04T11:57:00Z', '3 min'],
    ['2026-03-04T02:00:00Z', '10 h'],
    ['2026-02-28T12:00:00Z', '4 days'],
    // Of a clock that is ahead of ours.
    ['2026-03-04T12:00:09Z', '0 s'],
  ])('of %s is %s old', (time, age) => {
    expect(recordedNote(written([time, 'f:status']), 'no member answers', NOW)).toBe(
      `No member answers. This is what the guard has written down, last ${age} ago; it writes only what has changed.`,
    );
  });

  it('has no age where the API server keeps none', () => {
    expect(recordedNote(written(), 'no member answers', NOW)).toBe(
      'No member answers. This is what the guard has written down; it writes only what has changed.',
    );
  });
});

function withShown(status: object): KubernetesObject {
  return { ...written(), status };
}

describe('voters that were last known', () => {
  const condition = {
    type: 'Reachable',
    reason: 'NoAgreedMemberList',
    message: '',
    lastTransitionTime: '2026-03-04T11:57:00Z',
  };
  it('were known until Reachable turned', () => {
    const conditions = [{ ...condition, status: 'False' }];
    expect(lastKnownNote(withShown({ voters: 3, conditions }), NOW)).toBe(
      'Voters and quorum are those of the last member list that a quorum agreed on, known until 2026-03-04T11:57:00Z (3 min ago).',
    );
    expect(lastKnownNote(withShown({ conditions }), NOW)).toBeNull();
  });

  it('are still those of the guard while it reaches etcd', () => {
    const conditions = [{ ...condition, status: 'True' }];
    expect(lastKnownNote(withShown({ voters: 3, conditions }), NOW)).toBe(
      'Voters and quorum are those of the last member list that a quorum agreed on.',
    );
  });
});
