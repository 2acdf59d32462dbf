import { KubeError, type KubeClient } from '../harness/kube-client.ts';
import type { Dice } from './dice.ts';
import { now, type History } from './history.ts';
import { NAMESPACE, type Pods } from './pods.ts';

/** Ways to have a pod taken away. */
export type Deed = 'delete' | 'force' | 'dry-run' | 'evict' | 'evict-dry-run' | 'collection';

const DEEDS: Readonly<Record<Deed, number>> = {
  delete: 40,
  evict: 30,
  force: 8,
  'dry-run': 8,
  'evict-dry-run': 4,
  collection: 4,
};

export interface ActorContext {
  readonly name: string;
  readonly client: KubeClient;
  readonly pods: Pods;
  /** `policy/VERSION` of an Eviction. */
  readonly policy: string;
  readonly history: History;
  readonly dice: Dice;
  /** The member that leads, as far as anybody knows. */
  readonly leader: () => string | null;
  /** Nobody deletes anything for now. */
  readonly holds: () => boolean;
}

/** Somebody who deletes and evicts pods of etcd, one request after the other. */
export class Actor {
  readonly #context: ActorContext;

  constructor(context: ActorContext) {
    this.#context = context;
  }

  /** Goes on until the signal. */
  async act(over: AbortSignal): Promise<void> {
    const { dice, pods, leader, holds } = this.#context;
    while (!over.aborted) {
      await pause(dice.between(100, 1_600), over);
      const names = pods.names;
      const deed = dice.weighted(DEEDS);
      const wantsLeader = dice.chance(0.25);
      const anyone = dice.between(0, 99);
      const leading = wantsLeader ? names.find((name) => name === leader()) : undefined;
      const pod = leading ?? names[anyone % Math.max(1, names.length)];
      if (pod === undefined || over.aborted || holds()) continue;
      // It would not be reviewed.
      if (!pods.isTerminating(pod)) await this.do(deed, pod);
    }
  }

  /** The HTTP code of what came of it; 0 if nothing came. */
  async do(deed: Deed, pod: string): Promise<number> {
    const { name, history } = this.#context;
    const from = now();
    const { code, message } = await this.#try(deed, pod);
    history.add({ kind: 'request', from, actor: name, what: deed, pod, code, message });
    return code;
  }

  async #try(deed: Deed, pod: string): Promise<{ code: number; message: string }> {
    try {
      await this.#send(deed, pod);
      return { code: 200, message: '' };
    } catch (error) {
      if (error instanceof KubeError) {
        return { code: error.code, message: error.message.slice(0, 400) };
      }
      return { code: 0, message: String(error) };
    }
  }

  async #send(deed: Deed, pod: string): Promise<void> {
    const { client, pods, dice, policy } = this.#context;
    const path = pods.path(pod);
    const gracePeriodSeconds = dice.between(1, 10);
    switch (deed) {
      case 'delete':
        return client.delete(path, { gracePeriodSeconds });
      case 'force':
        return client.delete(path, { gracePeriodSeconds: 0 });
      case 'dry-run':
        return client.delete(path, { gracePeriodSeconds, dryRun: ['All'] });
      case 'collection':
        await client.text(
          'DELETE',
          `/api/v1/namespaces/${NAMESPACE}/pods?labelSelector=app%3Detcd`,
          { gracePeriodSeconds },
        );
        return;
      case 'evict':
      case 'evict-dry-run':
        await client.text('POST', `${path}/eviction`, {
          apiVersion: policy,
          kind: 'Eviction',
          metadata: { name: pod, namespace: NAMESPACE },
          deleteOptions: {
            gracePeriodSeconds,
            ...(deed === 'evict-dry-run' && { dryRun: ['All'] }),
          },
        });
    }
  }
}

function pause(ms: number, over: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    over.addEventListener('abort', done, { once: true });
    function done(): void {
      clearTimeout(timer);
      over.removeEventListener('abort', done);
      resolve();
    }
  });
}
