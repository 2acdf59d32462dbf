import { expect, test } from 'vitest';
import type { Answer } from '../../../src/kubernetes/api/api-failure.ts';
import { discover } from '../../../src/kubernetes/api/discovery.ts';

const CONTENT: Readonly<Record<string, unknown>> = {
  '/api/v1': {
    resources: [
      { name: 'pods', kind: 'Pod', namespaced: true },
      { name: 'pods/eviction', kind: 'Eviction', namespaced: true },
      { name: 'nodes', kind: 'Node', namespaced: false },
    ],
  },
  '/apis/policy': {
    versions: [{ version: 'v1' }, { version: 'v1beta1' }],
    preferredVersion: { version: 'v1' },
  },
  '/apis/policy/v1': {
    resources: [{ name: 'poddisruptionbudgets', kind: 'PodDisruptionBudget', namespaced: true }],
  },
  '/apis/policy/v1beta1': {
    resources: [
      { name: 'poddisruptionbudgets', kind: 'Old', namespaced: true },
      { name: 'podoldies', kind: 'PodOldie', namespaced: true },
    ],
  },
};

async function ask(path: string): Promise<Answer | null> {
  const content = CONTENT[path];
  return content === undefined ? null : { status: 200, headers: {}, text: JSON.stringify(content) };
}

async function nonsense(): Promise<Answer> {
  return { status: 200, headers: {}, text: '<html>' };
}

test('what is served are namespaced resources, each in the version that is preferred', async () => {
  expect(await discover('', ask)).toEqual(new Map([['pods', { version: 'v1', kind: 'Pod' }]]));
  expect(await discover('policy', ask)).toEqual(
    new Map([
      ['poddisruptionbudgets', { version: 'v1', kind: 'PodDisruptionBudget' }],
      ['podoldies', { version: 'v1beta1', kind: 'PodOldie' }],
    ]),
  );
});

test('a group that is not there, or that makes no sense, is none', async () => {
  expect(await discover('example.com', ask)).toBeNull();
  expect(await discover('apps', nonsense)).toBeNull();
  expect(await discover('', nonsense)).toEqual(new Map());
});
