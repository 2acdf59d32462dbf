import { describe, expect, test } from 'vitest';
import { changesTo } from './changes.ts';

describe('the changes of an apply', () => {
  test('are none where all that is said is there, beside what the server has added', () => {
    const live = {
      metadata: { name: 'a', uid: 'u' },
      spec: { containers: [{ name: 'etcd', pull: 'Always' }], handOff: [] },
    };
    const said = { metadata: { name: 'a' }, spec: { containers: [{ name: 'etcd' }], handOff: [] } };
    expect(changesTo(live, said, said)).toBeUndefined();
  });

  test('are what is said anew or otherwise, and no more of it than that', () => {
    const live = { metadata: { name: 'a', labels: { app: 'x' } }, spec: { replicas: 1, at: 2 } };
    const said = {
      metadata: { name: 'a', labels: { app: 'y' } },
      spec: { replicas: 1, policy: {} },
    };
    expect(changesTo(live, said)).toEqual({
      metadata: { labels: { app: 'y' } },
      spec: { policy: {} },
    });
  });

  test('take away what was said before, if it is still there', () => {
    const live = { spec: { policy: { leader: 'Deny', drain: 'Slowly' }, set: 'by others' } };
    const before = { spec: { policy: { drain: 'Slowly' }, gone: 1 } };
    expect(changesTo(live, { spec: { policy: {} } }, before)).toEqual({
      spec: { policy: { drain: null } },
    });
    expect(changesTo(live, { spec: {} }, before)).toEqual({ spec: { policy: null } });
  });

  test('have lists whole, also those that are shorter, longer or empty', () => {
    const live = { handOff: ['Evictions', 'Controllers'] };
    for (const handOff of [
      [],
      ['Evictions'],
      ['Controllers', 'Evictions'],
      [...live.handOff, 'x'],
    ]) {
      expect(changesTo(live, { handOff })).toEqual({ handOff });
    }
  });

  test('replace what is of another kind', () => {
    expect(changesTo({ a: [1], b: 1, c: {} }, { a: {}, b: null, c: 'text' })).toEqual({
      a: {},
      b: null,
      c: 'text',
    });
  });
});
