import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { KubeApiserver } from './kube-apiserver.ts';
import { KubeError, type KubeClient, type KubeObject } from './kube-client.ts';
import type { ProcessExit } from './managed-process.ts';

/** What runs for a pod. */
export interface RunningPod {
  /** 127.0.0.1 otherwise. */
  readonly podIP?: string;
  /** SIGTERM, and SIGKILL after this time; resolves when it has ended. */
  stop(graceMs: number): Promise<unknown>;
  /** Resolves when it ends by itself (or was stopped). */
  readonly exit?: Promise<ProcessExit>;
}

export interface KubeletOptions {
  readonly api: KubeApiserver;
  readonly nodeName: string;
  /** Starts what a pod stands for; resolves when it is ready. */
  readonly run: (pod: KubeObject) => Promise<RunningPod>;
}

/** A final DELETE that the API server did not accept. */
export interface Refusal {
  readonly namespace: string;
  readonly pod: string;
  readonly code: number;
  readonly message: string;
}

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;

const containersSchema = z.array(
  z.looseObject({ name: z.string(), image: z.string().default('none') }),
);

/** Registers a node and begins to run the pods that are bound to it. */
export async function startKubelet(options: KubeletOptions): Promise<Kubelet> {
  const client = await options.api.client({
    user: `system:node:${options.nodeName}`,
    groups: ['system:nodes'],
  });
  await registerNode(client, options.nodeName);
  return new Kubelet(options, client);
}

/**
 * A stand-in for the kubelet of one node, in this process: for each pod with its
 * `spec.nodeName` it runs a callback, and reports and ends pods the way the kubelet does,
 * under the kubelet's own name, so that the API server's authorization, admission and
 * webhooks see what they would see.
 *
 * What it does not imitate: images, volumes, networks and probes (a pod is ready once the
 * callback has resolved and its readiness gates are True); restarts (what ends stays down, as in a long crash back-off);
 * heartbeats (no node life cycle controller may run); preStop hooks; a grace period that
 * is shortened on the way; static and mirror pods; node pressure and node shutdown.
 */
export class Kubelet {
  readonly nodeName: string;
  /** Final DELETEs that were refused, in order; each is tried again. */
  readonly refusals: Refusal[] = [];
  readonly #options: KubeletOptions;
  readonly #client: KubeClient;
  readonly #stopped = new AbortController();
  readonly #pods = new Map<string, PodWorker>();
  readonly #watching: Promise<void>;

  constructor(options: KubeletOptions, client: KubeClient) {
    this.nodeName = options.nodeName;
    this.#options = options;
    this.#client = client;
    this.#watching = this.#watch();
  }

  /** Stops watching and ends what runs; the pods stay in the API as they are. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#watching;
    await Promise.all([...this.#pods.values()].map((pod) => pod.abandon()));
    this.#client.close();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopped;
    const path = `/api/v1/pods?fieldSelector=spec.nodeName%3D${this.nodeName}`;
    const handlers = {
      synced: (pods: readonly KubeObject[]): void => {
        const there = new Set(pods.map(({ metadata }) => metadata.uid));
        for (const pod of pods) this.#changed(pod);
        for (const uid of this.#pods.keys()) if (!there.has(uid)) this.#gone(uid);
      },
      changed: (pod: KubeObject): void => this.#changed(pod),
      deleted: (pod: KubeObject): void => this.#gone(pod.metadata.uid),
    };
    while (!signal.aborted) {
      try {
        await this.#client.watch(path, handlers, signal);
      } catch {
        // The API server is away, or this was stopped.
        await delay(FIRST_RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  #changed(pod: KubeObject): void {
    const { uid, deletionTimestamp } = pod.metadata;
    if (uid === undefined) return;
    let worker = this.#pods.get(uid);
    if (worker === undefined) {
      worker = new PodWorker(pod, {
        client: this.#client,
        run: this.#options.run,
        refused: (refusal) => this.refusals.push(refusal),
        signal: this.#stopped.signal,
      });
      this.#pods.set(uid, worker);
    }
    worker.changed(pod);
    if (deletionTimestamp !== undefined) worker.terminate(pod);
  }

  /** Deleted by force: the kubelet ends what is left of it. */
  #gone(uid: string | undefined): void {
    if (uid === undefined) return;
    void this.#pods.get(uid)?.abandon();
    this.#pods.delete(uid);
  }
}

interface WorkerContext {
  readonly client: KubeClient;
  readonly run: KubeletOptions['run'];
  readonly refused: (refusal: Refusal) => void;
  readonly signal: AbortSignal;
}

/** The life of one pod: start, report, and, once it is to go, end and delete. */
class PodWorker {
  readonly #pod: KubeObject;
  readonly #path: string;
  readonly #context: WorkerContext;
  readonly #startTime = new Date().toISOString();
  readonly #starting: Promise<RunningPod | undefined>;
  readonly #gone = new AbortController();
  #terminating = false;
  #gatesOpen: boolean;
  #reported: { readonly podIP: string | undefined; readonly state: ContainerState } | undefined;

  constructor(pod: KubeObject, context: WorkerContext) {
    const { namespace, name } = pod.metadata;
    this.#pod = pod;
    this.#path = `/api/v1/namespaces/${namespace}/pods/${name}`;
    this.#context = context;
    this.#gatesOpen = gatesAreOpen(pod);
    this.#starting = this.#start();
  }

  /** Somebody else has set a condition that the pod's readiness waits for. */
  changed(pod: KubeObject): void {
    const open = gatesAreOpen(pod);
    if (open === this.#gatesOpen) return;
    this.#gatesOpen = open;
    if (this.#reported === undefined || this.#terminating) return;
    void this.#report(this.#reported.podIP, this.#reported.state);
  }

  /** SIGTERM, the grace period, and then the DELETE that makes the pod go away. */
  terminate(pod: KubeObject): void {
    if (this.#terminating) return;
    this.#terminating = true;
    void this.#terminate((pod.metadata.deletionGracePeriodSeconds ?? 30) * 1_000);
  }

  /** Ends what runs and reports nothing any more. */
  async abandon(): Promise<void> {
    this.#terminating = true;
    this.#gone.abort();
    const running = await this.#starting;
    await running?.stop(0);
  }

  async #start(): Promise<RunningPod | undefined> {
    if (this.#pod.metadata.deletionTimestamp !== undefined) return undefined;
    try {
      const running = await this.#context.run(this.#pod);
      await this.#report(running.podIP ?? '127.0.0.1', {
        running: { startedAt: new Date().toISOString() },
      });
      void running.exit?.then((exit) => this.#ended(running, exit));
      return running;
    } catch (error) {
      await this.#report(undefined, {
        waiting: { reason: 'RunContainerError', message: String(error).slice(0, 1_000) },
      });
      return undefined;
    }
  }

  async #ended(running: RunningPod, { code, signal }: ProcessExit): Promise<void> {
    if (this.#terminating) return;
    await this.#report(running.podIP ?? '127.0.0.1', terminated(signal === null ? code : null));
  }

  async #terminate(graceMs: number): Promise<void> {
    const running = await this.#starting;
    await running?.stop(graceMs);
    await this.#report(running?.podIP, terminated(0));
    await this.#delete();
  }

  /** The kubelet's last DELETE; while it is refused the pod stays in Terminating. */
  async #delete(): Promise<void> {
    const { uid, namespace = '', name } = this.#pod.metadata;
    const signal = AbortSignal.any([this.#context.signal, this.#gone.signal]);
    for (
      let retryMs = FIRST_RETRY_MS;
      !signal.aborted;
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)
    ) {
      try {
        await this.#context.client.delete(this.#path, {
          gracePeriodSeconds: 0,
          preconditions: { uid },
        });
        return;
      } catch (error) {
        // Gone, or another pod by now.
        if (error instanceof KubeError && (error.code === 404 || error.code === 409)) return;
        if (error instanceof KubeError) {
          this.#context.refused({ namespace, pod: name, code: error.code, message: error.message });
        }
      }
      await delay(retryMs, undefined, { signal }).catch(() => {});
    }
  }

  async #report(podIP: string | undefined, state: ContainerState): Promise<void> {
    this.#reported = { podIP, state };
    const ready = 'running' in state;
    const containers = containersSchema.parse(this.#pod.spec?.['containers']);
    const status = {
      phase: podIP === undefined ? 'Pending' : 'Running',
      startTime: this.#startTime,
      hostIP: '127.0.0.1',
      ...(podIP === undefined ? {} : { podIP, podIPs: [{ ip: podIP }] }),
      conditions: [
        condition('Initialized', true),
        condition('PodScheduled', true),
        condition('ContainersReady', ready),
        condition('Ready', ready && this.#gatesOpen),
      ],
      containerStatuses: containers.map(({ name, image }) => ({
        name,
        image,
        imageID: '',
        ready,
        started: ready,
        restartCount: 0,
        state,
      })),
    };
    try {
      // Conditions that are not the kubelet's stay as they are.
      await this.#context.client.merge(`${this.#path}/status`, {
        metadata: { uid: this.#pod.metadata.uid },
        status,
      });
    } catch {
      // It was deleted meanwhile; the watch will say so.
    }
  }
}

const gatedSchema = z.object({
  spec: z.looseObject({
    readinessGates: z.array(z.object({ conditionType: z.string() })).default([]),
  }),
  status: z
    .looseObject({
      conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]),
    })
    .default({ conditions: [] }),
});

function gatesAreOpen(pod: KubeObject): boolean {
  const { spec, status } = gatedSchema.parse(pod);
  return spec.readinessGates.every(({ conditionType }) =>
    status.conditions.some(({ type, status: is }) => type === conditionType && is === 'True'),
  );
}

type ContainerState =
  | { readonly running: { readonly startedAt: string } }
  | { readonly waiting: { readonly reason: string; readonly message: string } }
  | { readonly terminated: { readonly exitCode: number; readonly reason: string } };

function condition(type: string, status: boolean): Readonly<Record<string, string>> {
  return {
    type,
    status: status ? 'True' : 'False',
    lastTransitionTime: new Date().toISOString(),
  };
}

/** Null: ended by a signal, which containers report as SIGKILL's 137. */
function terminated(code: number | null): ContainerState {
  const exitCode = code ?? 137;
  return { terminated: { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error' } };
}

async function registerNode(client: KubeClient, name: string): Promise<void> {
  try {
    await client.create('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } });
  } catch (error) {
    // It may be there from an earlier kubelet of that name.
    if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
  }
  const now = new Date().toISOString();
  await client.patch(`/api/v1/nodes/${name}/status`, {
    status: {
      addresses: [
        { type: 'InternalIP', address: '127.0.0.1' },
        { type: 'Hostname', address: name },
      ],
      capacity: { cpu: '8', memory: '16Gi', pods: '110' },
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'KubeletReady',
          message: 'stand-in kubelet',
          lastHeartbeatTime: now,
          lastTransitionTime: now,
        },
      ],
    },
  });
}
