import { describe, expect, it } from 'vitest';
import { wrap } from '../../src/cli/text.ts';

describe('text in lines', () => {
  it('is broken at blanks, and behind - where a word is too long', () => {
    expect(wrap('delete a follower', 8)).toEqual(['delete a', 'follower']);
    expect(wrap('etcd-cluster-0', 8)).toEqual(['etcd-', 'cluster-', '0']);
  });

  it.each([1, 0, -4])('ends at a width of %d', (width) => {
    expect(wrap('a bc', width)).toEqual(['a', 'b', 'c']);
  });
});
