import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { z } from 'zod';
import type { EtcdCluster } from '../../test/harness/etcd-cluster.ts';
import { etcdPod, runsMembersOf } from '../../test/harness/etcd-pods.ts';
import type { KubeApiserver } from '../../test/harness/kube-apiserver.ts';
import { KubeError } from '../../test/harness/kube-client.ts';
import { startKubelet, type Kubelet } from '../../test/harness/kubelet.ts';
import { until } from '../../test/harness/until.ts';
import type { Guard } from './guard.ts';
import { check } from './narration.ts';
import type { CommandOutcome, Shell } from './shell.ts';
import type { Attempt, Presence, Stage } from './stage.ts';

const PODS = '/api/v1/namespaces/default/pods';
const WEBHOOK = 'guard.etcd-guard.io';
/** How long a deleted pod stays away once the story is over. */
const AWAY_MS = 10_000;

interface Parts {
  readonly api: KubeApiserver;
  readonly etcd: EtcdCluster;
  readonly guard: Guard;
  readonly shell: Shell;
  /** Where the manifests go; also where the shell runs. */
  readonly directory: string;
}

/** An API server with the webhook registered and every member a pod on a node of its own. */
export class KubernetesStage implements Stage {
  readonly #parts: Parts;
  readonly #kubelets: readonly Kubelet[];

  private constructor(parts: Parts, kubelets: readonly Kubelet[]) {
    this.#parts = parts;
    this.#kubelets = kubelets;
  }

  static async start(parts: Parts): Promise<KubernetesStage> {
    const { api, etcd, guard, directory } = parts;
    const run = runsMembersOf(etcd);
    const kubelets = await Promise.all(
      etcd.members.map(({ name }) => startKubelet({ api, nodeName: nodeOf(name), run })),
    );
    const manifests = etcd.members.map((member) =>
      etcdPod(member, { nodeName: nodeOf(member.name) }),
    );
    for (const [index, { name }] of etcd.members.entries()) {
      await writeFile(join(directory, `${name}.yaml`), stringify(manifests[index]));
    }
    await api.admin.patch('/api/v1/namespaces/default', {
      metadata: { labels: { 'etcd-guard.io/protect': 'enabled' } },
    });
    await api.apply(...manifests, webhookConfiguration(guard));
    const stage = new KubernetesStage(parts, kubelets);
    for (const { name } of etcd.members) await stage.#becomesReady(name);
    await stage.#webhookInForce();
    return stage;
  }

  async deletePod(pod: string): Promise<Attempt> {
    return attemptOf(await this.#parts.shell.show('kubectl', 'delete', 'pod', pod));
  }

  async drain(pod: string): Promise<Attempt> {
    const { shell } = this.#parts;
    // Pods that no controller has made are only drained with --force.
    return attemptOf(await shell.show('kubectl', 'drain', nodeOf(pod), '--force', '--timeout=60s'));
  }

  async dryRun(pod: string): Promise<Attempt> {
    try {
      await this.#parts.api.admin.delete(`${PODS}/${pod}`, { dryRun: ['All'] });
      return { allowed: true, text: '', outcome: 'allowed' };
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      return { allowed: false, text: error.message, outcome: `code ${error.code}` };
    }
  }

  async presence(pod: string): Promise<Presence> {
    try {
      const { metadata } = await this.#parts.api.admin.get(`${PODS}/${pod}`);
      return metadata.deletionTimestamp === undefined ? 'there' : 'going';
    } catch (error) {
      if (error instanceof KubeError && error.code === 404) return 'gone';
      throw error;
    }
  }

  async bringBack(pod: string): Promise<void> {
    const { shell, api } = this.#parts;
    const { spec } = await api.admin.get(`/api/v1/nodes/${nodeOf(pod)}`);
    if (spec?.['unschedulable'] === true) await shell.show('kubectl', 'uncordon', nodeOf(pod));
    const created = await shell.show('kubectl', 'create', '-f', `${pod}.yaml`);
    check(created.exitCode === 0, `kubectl create ended with exit code ${created.exitCode}`);
    await this.#becomesReady(pod);
  }

  suggestions(leader: string, follower: string): readonly string[] {
    return [
      `kubectl delete pod ${leader}`,
      `kubectl delete pod ${follower}`,
      `kubectl drain ${nodeOf(leader)} --force; kubectl uncordon ${nodeOf(leader)}`,
      'kubectl get pods --watch',
    ];
  }

  /** What goes comes back after ten seconds: a StatefulSet without its controller. */
  async keepRunning(signal: AbortSignal): Promise<void> {
    const { api, etcd, shell } = this.#parts;
    const goneAt = new Map<string, number>();
    while (!signal.aborted) {
      const there = new Set((await api.admin.list(PODS)).map(({ metadata }) => metadata.name));
      for (const { name } of etcd.members) {
        if (there.has(name)) goneAt.delete(name);
        else if (!goneAt.has(name)) goneAt.set(name, performance.now());
        if (performance.now() - (goneAt.get(name) ?? Infinity) > AWAY_MS) {
          await shell.quietly('kubectl', 'create', '-f', `${name}.yaml`);
        }
      }
      await delay(500, undefined, { signal }).catch(() => undefined);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#kubelets.map((kubelet) => kubelet.stop()));
    await this.#parts.api.stop();
  }

  async #becomesReady(pod: string): Promise<void> {
    await until(`${pod} is ready`, async () => {
      const { status } = await this.#parts.api.admin.get(`${PODS}/${pod}`);
      return isReady(status);
    });
  }

  /** The API server takes a moment to call a webhook that it has just been told of. */
  async #webhookInForce(): Promise<void> {
    const { name } = await this.#parts.etcd.leader();
    await until('the webhook is called', async () => !(await this.dryRun(name)).allowed);
  }
}

function attemptOf({ exitCode, text }: CommandOutcome): Attempt {
  return { allowed: exitCode === 0, text, outcome: `exit code ${exitCode}` };
}

function nodeOf(pod: string): string {
  return pod.replace(/^etcd/, 'node');
}

const conditionsSchema = z.object({
  conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
});

function isReady(status: unknown): boolean {
  const { conditions } = conditionsSchema.parse(status);
  return conditions.some((one) => one.type === 'Ready' && one.status === 'True');
}

function webhookConfiguration({ url, ca }: Guard): Record<string, unknown> {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'etcd-guard' },
    webhooks: [
      {
        name: WEBHOOK,
        clientConfig: { url: `${url}/validate`, caBundle: Buffer.from(ca).toString('base64') },
        rules: [rule('DELETE', 'pods'), rule('CREATE', 'pods/eviction')],
        namespaceSelector: { matchLabels: { 'etcd-guard.io/protect': 'enabled' } },
        admissionReviewVersions: ['v1'],
        sideEffects: 'NoneOnDryRun',
        failurePolicy: 'Fail',
        timeoutSeconds: 10,
      },
    ],
  };
}

function rule(operation: string, resource: string): Record<string, unknown> {
  return {
    apiGroups: [''],
    apiVersions: ['v1'],
    operations: [operation],
    resources: [resource],
  };
}
