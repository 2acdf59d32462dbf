import { setTimeout as delay } from 'node:timers/promises';
import { etcdPod } from '../harness/etcd-pods.ts';
import type { KubeApiserver } from '../harness/kube-apiserver.ts';
import { KubeError, type KubeObject } from '../harness/kube-client.ts';
import { startKubelet, type Kubelet } from '../harness/kubelet.ts';
import type { History } from './history.ts';
import type { Member } from './member.ts';

export const NAMESPACE = 'default';
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
const CREATE_EVERY_MS = 250;

/** Pods, the kubelets that run them, and who makes them anew as a StatefulSet would. */
export class Pods {
  readonly #api: KubeApiserver;
  readonly #history: History;
  readonly #kubelets: Kubelet[] = [];
  /** Members that shall have a pod. */
  readonly #wanted = new Map<string, Member>();
  readonly #current = new Map<string, KubeObject>();
  readonly #over = new AbortController();
  readonly #work: Promise<void>[] = [];

  constructor(api: KubeApiserver, history: History) {
    this.#api = api;
    this.#history = history;
  }

  begin(): void {
    this.#work.push(this.#watch(), this.#keep());
  }

  /** A node of its own, and a pod from now on. */
  async add(member: Member): Promise<void> {
    const kubelet = await startKubelet({
      api: this.#api,
      nodeName: nodeOf(member.name),
      run: async ({ metadata: { uid = '' } }) => {
        await member.runFor(uid);
        return { podIP: member.place.host, stop: (graceMs) => member.stopFor(uid, graceMs) };
      },
    });
    this.#kubelets.push(kubelet);
    this.#wanted.set(member.name, member);
  }

  /** No pod any more: the one that it has is deleted, as often as it takes. */
  retire({ name }: Member): void {
    this.#wanted.delete(name);
    this.#work.push(this.#remove(name));
  }

  /** As the API server last showed it. */
  at(name: string): KubeObject | undefined {
    return this.#current.get(name);
  }

  isTerminating(name: string): boolean {
    return this.#current.get(name)?.metadata.deletionTimestamp !== undefined;
  }

  get names(): readonly string[] {
    return [...this.#current.keys()].sort();
  }

  path(name: string): string {
    return `${PODS}/${name}`;
  }

  /** Final DELETEs that were refused. */
  get refusals(): readonly string[] {
    return this.#kubelets.flatMap(({ refusals }) =>
      refusals.map(({ pod, message }) => `${pod}: ${message}`),
    );
  }

  /** What the kubelet says of the container, when it ends or begins again within its pod. */
  async report(name: string, state: 'running' | 'terminated'): Promise<void> {
    const pod = this.#current.get(name);
    if (pod === undefined) return;
    const at = new Date().toISOString();
    const running = state === 'running';
    const detail = running
      ? { running: { startedAt: at } }
      : { terminated: { exitCode: 137, reason: 'Error', finishedAt: at } };
    const status = {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: running ? 'True' : 'False', lastTransitionTime: at }],
      containerStatuses: [
        {
          name: 'etcd',
          image: 'etcd:test',
          imageID: '',
          ready: running,
          started: running,
          restartCount: 1,
          state: detail,
        },
      ],
    };
    const { uid } = pod.metadata;
    try {
      await this.#api.admin.patch(`${this.path(name)}/status`, { metadata: { uid }, status });
    } catch (error) {
      // It has been deleted meanwhile, or another one has its name.
      if (!(error instanceof KubeError)) throw error;
    }
  }

  async stop(): Promise<void> {
    this.#over.abort();
    await Promise.all(this.#work);
    await Promise.all(this.#kubelets.map((kubelet) => kubelet.stop()));
  }

  async #watch(): Promise<void> {
    const { signal } = this.#over;
    const handlers = {
      synced: (pods: readonly KubeObject[]): void => {
        const uids = new Set(pods.map(({ metadata }) => metadata.uid));
        for (const pod of this.#current.values()) if (!uids.has(pod.metadata.uid)) this.#gone(pod);
        for (const pod of pods) this.#seen(pod);
      },
      changed: (pod: KubeObject): void => this.#seen(pod),
      deleted: (pod: KubeObject): void => this.#gone(pod),
    };
    while (!signal.aborted) {
      try {
        await this.#api.admin.watch(PODS, handlers, signal);
      } catch {
        await delay(100, undefined, { signal }).catch(() => {});
      }
    }
  }

  #seen(pod: KubeObject): void {
    const { name, uid = '', deletionTimestamp } = pod.metadata;
    const before = this.#current.get(name);
    this.#current.set(name, pod);
    if (before?.metadata.uid !== uid) this.#note(name, uid, 'created');
    const known = before?.metadata.uid === uid ? before.metadata.deletionTimestamp : undefined;
    if (deletionTimestamp !== undefined && known === undefined) {
      this.#note(name, uid, 'terminating');
    }
  }

  #gone({ metadata: { name, uid = '' } }: KubeObject): void {
    if (this.#current.get(name)?.metadata.uid !== uid) return;
    this.#current.delete(name);
    this.#note(name, uid, 'gone');
  }

  #note(name: string, uid: string, state: 'created' | 'terminating' | 'gone'): void {
    this.#history.add({ kind: 'pod', name, uid, state });
  }

  async #keep(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      for (const member of this.#wanted.values()) {
        if (!this.#current.has(member.name)) await this.#create(member);
      }
      await delay(CREATE_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #remove(name: string): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted && this.#current.has(name)) {
      try {
        if (!this.isTerminating(name)) await this.#api.admin.delete(this.path(name));
      } catch {
        // Refused, or the API server is away.
      }
      await delay(CREATE_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #create(member: Member): Promise<void> {
    try {
      const pod = etcdPod(member, { nodeName: nodeOf(member.name), namespace: NAMESPACE });
      await this.#api.admin.create(PODS, pod);
    } catch {
      // It is there already, or the API server is away: the next turn tries again.
    }
  }
}

function nodeOf(member: string): string {
  return `node-of-${member}`;
}
