import { describe, expect, it } from 'vitest';
import type { KubernetesApi, KubernetesObject } from '../../../src/kubernetes/api/api.ts';
import { withSharedReads } from '../../../src/kubernetes/api/shared-reads.ts';

const PODS = { prefix: '/api/v1', plural: 'pods', namespace: 'default' };
const OTHERS = { ...PODS, namespace: 'other' };

const never = () => Promise.reject(new Error('not asked for'));

/** An API that remembers what it was asked. */
function counted(answer: () => Promise<KubernetesObject | null>) {
  const asked: string[] = [];
  const api: KubernetesApi = {
    get(resource, name) {
      asked.push(`get ${resource.namespace} ${name}`);
      return answer();
    },
    async list(resource, options) {
      asked.push(`list ${resource.namespace} ${options.labelSelector}`);
      return [];
    },
    create: never,
    replace: never,
    patch: never,
    patchStatus: never,
    watch: () => ({ stop: () => undefined }),
    close: () => asked.push('close'),
  };
  return { api, asked };
}

describe('shared reads', () => {
  it('ask for the same thing once within their time, and for other things each', async () => {
    const { api, asked } = counted(async () => null);
    let now = 0;
    const shared = withSharedReads(api, 500, () => now);
    const read = () =>
      Promise.all([
        shared.get(PODS, 'a', 1),
        shared.get(PODS, 'a', 2),
        shared.get(PODS, 'b', 1),
        shared.get(OTHERS, 'a', 1),
        shared.list(PODS, { labelSelector: 'x' }, 1),
        shared.list(PODS, { labelSelector: 'x' }, 1),
        shared.list(PODS, { labelSelector: 'y' }, 1),
      ]);
    const once = [
      'get default a',
      'get default b',
      'get other a',
      'list default x',
      'list default y',
    ];
    await read();
    now = 499;
    await read();
    expect(asked).toEqual(once);
    now = 500;
    await read();
    expect(asked).toEqual([...once, ...once]);
  });

  it('fail for all who share them, and not beyond their time', async () => {
    const answers = [Promise.reject(new Error('down')), Promise.resolve(null)];
    answers[0]?.catch(() => undefined);
    const { api } = counted(() => answers.shift() ?? Promise.resolve(null));
    let now = 0;
    const shared = withSharedReads(api, 500, () => now);
    await expect(shared.get(PODS, 'a', 1)).rejects.toThrow('down');
    await expect(shared.get(PODS, 'a', 1)).rejects.toThrow('down');
    now = 500;
    expect(await shared.get(PODS, 'a', 1)).toBeNull();
  });

  it('leave all else as it is', () => {
    const { api, asked } = counted(async () => null);
    withSharedReads(api, 500, () => 0).close();
    expect(asked).toEqual(['close']);
  });
});
