import { describe, expect, test } from 'vitest';
import { asDocuments } from '../../../src/cli/status/documents.ts';
import { listLocks } from '../../../src/cli/status/locks.ts';
import { lockTable } from '../../../src/cli/status/tables.ts';
import { ApiError } from '../../../src/kubernetes/api/api.ts';
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts';
import { lockObject } from '../../kubernetes/locks/lock-objects.ts';

const NOW = Date.parse('2026-05-01T12:00:00Z');

function written(reason: string, status = 'True') {
  const condition = {
    type: 'InForce',
    status,
    reason,
    message: 'words',
    lastTransitionTime: '2026-05-01T11:00:00Z',
  };
  return { matched: 3, denials: 1, conditions: [condition] };
}

const HELD = { ...lockObject(), status: written('Enforced') };
const OTHERS = [
  {
    ...lockObject({ until: '2026-05-01T12:00:00Z' }, { name: 'over' }),
    status: written('Enforced'),
  },
  {
    ...lockObject({ exclusive: [] }, { name: 'unlabelled' }),
    status: written('NamespaceNotLabelled', 'False'),
  },
  lockObject({ until: '2027-01-01T00:00:00Z' }, { name: 'fresh' }),
  lockObject({ selector: {} }, { name: 'void' }),
  lockObject({}, { name: 'foreign', namespace: 'shop' }),
];

describe('the locks that status shows', () => {
  test('are those of the namespace, with whether they hold', async () => {
    const locks = await listLocks(new FakeKubernetes(HELD, ...OTHERS), 'default', NOW);
    expect(lockTable(locks)).toBe(
      `LOCK                SELECTOR  EXCLUSIVE                        MATCHED  UNTIL                 IN FORCE
default/lockred     aura=red  ServiceAccount default/jonny-op  3                              yes (Enforced)
default/over        aura=red  ServiceAccount default/jonny-op  3        2026-05-01T12:00:00Z  no (Expired)
default/unlabelled  aura=red  nobody                           3                              no (NamespaceNotLabelled)
default/fresh       aura=red  ServiceAccount default/jonny-op  ?        2027-01-01T00:00:00Z  ?
default/void        ?         nobody                           ?                              no (InvalidSpec)
`,
    );
    expect(await listLocks(new FakeKubernetes(...OTHERS), null, NOW)).toHaveLength(5);
  });

  test('stand beside the items for programs, and are not there if there are none', async () => {
    const locks = await listLocks(new FakeKubernetes(HELD), 'default', NOW);
    expect(JSON.parse(asDocuments({ guards: [], locks }, 'json'))).toMatchObject({
      items: [],
      locks: [{ kind: 'ExclusiveLock', metadata: { name: 'lockred' }, status: { matched: 3 } }],
    });
    expect(JSON.parse(asDocuments({ guards: [], locks: [] }, 'json'))).toEqual({ items: [] });
    expect(asDocuments({ guards: [], locks }, 'name')).toBe(
      'exclusivelock.etcd-guard.io/lockred\n',
    );
  });

  test.each(['not-found', 'forbidden'] as const)('are none where they are %s', async (code) => {
    const api = new FakeKubernetes();
    api.fault = () => new ApiError(code, 'went wrong');
    await expect(listLocks(api, 'default', NOW)).resolves.toEqual([]);
  });

  test('are a failure while the API server does not answer', async () => {
    const api = new FakeKubernetes();
    api.fault = () => new ApiError('timeout', 'went wrong');
    await expect(listLocks(api, 'default', NOW)).rejects.toThrow('went wrong');
  });
});
