import { describe, expect, it } from 'vitest';
import { arithmetic } from '../../../src/cli/check/arithmetic.ts';
import { viewIn } from '../../../src/decision/decide.ts';
import { clusterOf } from '../../decision/described-cluster.ts';
import { parse } from '../../decision/dsl.ts';

function linesFor(text: string, pod: string): readonly string[] {
  const cluster = clusterOf(parse(text));
  const view = viewIn({ ...cluster.situation, answers: cluster.answers(cluster.leader) });
  return arithmetic(pod, view);
}

describe('the arithmetic of a verdict', () => {
  it('of a follower that can be spared', () => {
    expect(linesFor('delete voters=(a*,b,c) target=b', 'b')).toEqual([
      'leader: a, named by a quorum',
      'voters: 3, so the quorum is 2',
      'healthy now: 3 (a, b, c)',
      'without b: 2 >= 2, so the quorum stays',
    ]);
  });

  it('of one that is needed', () => {
    expect(linesFor('delete voters=(a*,b,c) silent=(c) target=b', 'b')).toEqual([
      'leader: a, named by a quorum',
      'voters: 3, so the quorum is 2',
      'healthy now: 2 (a, b)',
      'not healthy: c (connection refused)',
      'without b: 1 < 2, so the quorum is lost',
    ]);
  });

  it('of one that is not healthy anyway: nothing is taken away', () => {
    expect(linesFor('delete voters=(a*,b,c) silent=(c) target=c', 'c').at(-1)).toBe(
      'without c: 2 >= 2, so the quorum stays',
    );
  });

  it('is none where etcd was not asked', () => {
    expect(arithmetic('a', null)).toEqual([]);
  });
});
