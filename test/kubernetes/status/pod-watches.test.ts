import { expect, test } from 'vitest';
import { PodWatches } from '../../../src/kubernetes/status/pod-watches.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import { podObject } from '../../fakes/kubernetes-objects.ts';

const SELECTOR = { matchLabels: { app: 'etcd' } };

/** Knows which namespaces are watched. */
class Watched extends FakeKubernetes {
  readonly namespaces = new Set<string>();

  override watch(...[resource, options, events]: Parameters<FakeKubernetes['watch']>) {
    const watch = super.watch(resource, options, events);
    const { namespace } = resource;
    if (namespace !== null) this.namespaces.add(namespace);
    return {
      stop: () => {
        watch.stop();
        if (namespace !== null) this.namespaces.delete(namespace);
      },
    };
  }
}

function followed(api: FakeKubernetes): { readonly watches: PodWatches; readonly told: string[] } {
  const told: string[] = [];
  const watches = new PodWatches(api, {
    onChanged: ({ metadata }) => told.push(metadata.name),
    onFailed: () => undefined,
  });
  return { watches, told };
}

test('pods that a guard may select are followed, until it has gone', () => {
  const api = new Watched(podObject('etcd-0'));
  const { watches, told } = followed(api);
  watches.follow('default', [SELECTOR]);
  expect(told).toEqual(['etcd-0']);
  api.put(podObject('etcd-1'));
  expect(told).toEqual(['etcd-0', 'etcd-1']);
  watches.follow('default', []);
  api.put(podObject('etcd-2'));
  expect(told).toEqual(['etcd-0', 'etcd-1']);
});

test('of thousands of namespaces with guards a hundred are followed', () => {
  const api = new Watched();
  const { watches } = followed(api);
  const names = Array.from({ length: 3_000 }, (_, at) => `namespace-${at}`);
  for (const name of names) watches.follow(name, [SELECTOR]);
  expect([...api.namespaces]).toEqual(names.slice(0, 100));
  // One that is followed stays so when its guard changes, and one that goes makes room.
  watches.follow('namespace-7', [{ matchLabels: { app: 'db' } }]);
  expect(api.namespaces).toContain('namespace-7');
  watches.follow('namespace-7', []);
  watches.follow('namespace-200', [SELECTOR]);
  expect(api.namespaces).toContain('namespace-200');
  watches.stop();
  expect(api.namespaces.size).toBe(0);
});
