import { z } from 'zod';
import { answerParent } from './child.ts';
import { RawEtcd } from './raw-etcd.ts';

let etcd = new RawEtcd([]);

const openSchema = z.object({ addresses: z.array(z.string()).min(1) });
const timesSchema = z.object({
  kind: z.enum(['round', 'round with one list', 'read']),
  count: z.int().optional(),
  ms: z.number().optional(),
});

type Kind = z.infer<typeof timesSchema>['kind'];

function once(kind: Kind): Promise<void> {
  switch (kind) {
    case 'round':
      return etcd.round();
    case 'round with one list':
      return etcd.round(1);
    case 'read':
      return etcd.read();
  }
}

answerParent({
  async open(params) {
    etcd = new RawEtcd(openSchema.parse(params).addresses);
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
