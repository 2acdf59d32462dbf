import { Etcd3 } from 'etcd3';
import { z } from 'zod';
import { answerParent } from './child.ts';

/** Raw etcd3, one client a member like the guard's, without any of the guard's code. */
const clients: Etcd3[] = [];

const openSchema = z.object({ addresses: z.array(z.string()).min(1) });
const timesSchema = z.object({
  kind: z.enum(['round', 'round with one list', 'read']),
  count: z.int().optional(),
  ms: z.number().optional(),
});

type Kind = z.infer<typeof timesSchema>['kind'];

const WITHIN_MS = 2_000;
/** The guard's read: counts a key that need not exist. */
const READ = { key: Buffer.from('etcd-guard'), count_only: true, limit: 1 };

let reads = 0;

/** The same requests as the guard's, side by side and with a deadline as well. */
async function once(kind: Kind): Promise<void> {
  const options = { deadline: Date.now() + WITHIN_MS };
  const askForList = kind === 'round' ? clients : clients.slice(0, 1);
  switch (kind) {
    case 'round':
    case 'round with one list':
      await Promise.all([
        ...clients.map((client) => client.maintenance.status(options)),
        ...askForList.map((client) => client.cluster.memberList({}, options)),
      ]);
      return;
    case 'read':
      // Each member in turn: the leader answers sooner than its followers.
      reads += 1;
      await clients[reads % clients.length]?.kv.range(READ, options);
      return;
  }
}

answerParent({
  async open(params) {
    for (const address of openSchema.parse(params).addresses) {
      clients.push(new Etcd3({ hosts: address }));
    }
    return null;
  },
  /** One after another, so many or for so long: the milliseconds that each took. */
  async times(params) {
    const { kind, count = Infinity, ms = Infinity } = timesSchema.parse(params);
    const taken: number[] = [];
    const begin = performance.now();
    while (taken.length < count && performance.now() - begin < ms) {
      const start = performance.now();
      await once(kind);
      taken.push(performance.now() - start);
    }
    return taken;
  },
});
