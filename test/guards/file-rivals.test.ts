import { expect, it } from 'vitest';
import { fileAcceptance, rivalsAmong } from '../../src/guards/file-rivals.ts';
import { FakeEtcd } from '../fakes/etcd.ts';
import { loadedGuard, sourceOf } from '../fakes/guards.ts';

const { guards } = sourceOf(
  new FakeEtcd(['etcd-0']),
  loadedGuard({ name: 'a', pods: ['etcd-0', 'etcd-1'] }),
  loadedGuard({ name: 'b', pods: ['etcd-1'] }),
  loadedGuard({ name: 'c', pods: ['etcd-2'] }),
);

it('guards that name the same pod are rivals, and say so', () => {
  const names = [...rivalsAmong(guards)].map(({ guard }) => guard.name);
  expect(new Set(names)).toEqual(new Set(['a', 'b']));
  const found = guards.map((one) => fileAcceptance(one, guards));
  expect(found.map(({ reason }) => reason)).toEqual([
    'OverlapsAnotherGuard',
    'OverlapsAnotherGuard',
    'Accepted',
  ]);
  expect(found[0]?.message).toContain('EtcdGuard b has some of its pods too');
});
