import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { z } from 'zod';
import { webhookConfiguration } from '../../test/harness/admission-webhook.ts';
import type { EtcdCluster } from '../../test/harness/etcd-cluster.ts';
import { etcdPod, runsMembersOf } from '../../test/harness/etcd-pods.ts';
import type { KubeApiserver } from '../../test/harness/kube-apiserver.ts';
import { KubeError, type KubeObject } from '../../test/harness/kube-client.ts';
import { startKubelet, type Kubelet } from '../../test/harness/kubelet.ts';
import { until } from '../../test/harness/until.ts';
import { Guard } from './guard.ts';
import { install } from './installation.ts';
import { chapter, check, remark } from './narration.ts';
import type { Command, CommandOutcome, Shell } from './shell.ts';
import type { Attempt, Health, Pods, Presence, Stage, Suggestion } from './stage.ts';

const PODS = '/api/v1/namespaces/default/pods';
const GUARDS = '/apis/etcd-guard.io/v1alpha1/namespaces/default/etcdguards';
const GUARD_FILE = 'etcd-guard.yaml';
/** How long a deleted pod stays away once the story is over. */
const AWAY_MS = 10_000;

interface Parts {
  readonly api: KubeApiserver;
  readonly etcd: EtcdCluster;
  readonly shell: Shell;
  /** Where the manifests go; also where the shell runs. */
  readonly directory: string;
}

/**
 * An API server with every member a pod on a node of its own, and in front of it two replicas of
 * the guard, which know nothing but what the API server tells them.
 */
export class KubernetesStage implements Stage {
  readonly guard: Guard;
  readonly #parts: Parts;
  readonly #kubelets: readonly Kubelet[];
  /** Which of both were in the ledger. */
  #reserved: readonly string[] = [];

  private constructor(parts: Parts, guard: Guard, kubelets: readonly Kubelet[]) {
    this.#parts = parts;
    this.guard = guard;
    this.#kubelets = kubelets;
  }

  static async start(parts: Parts): Promise<KubernetesStage> {
    const { api, etcd, directory } = parts;
    const kubeconfig = await install(api, directory);
    const guard = await Guard.start({
      directory,
      args: [`--kubeconfig=${kubeconfig}`],
      replicas: 2,
      namespace: 'etcd-guard',
    });
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
    await writeFile(join(directory, GUARD_FILE), guardManifest(etcd));
    const { port } = new URL(guard.url);
    await api.apply(...manifests, webhookConfiguration(Number(port), guard.ca));
    const stage = new KubernetesStage(parts, guard, kubelets);
    for (const { name } of etcd.members) await stage.#becomesReady(name);
    return stage;
  }

  async protect(): Promise<void> {
    const { etcd } = this.#parts;
    chapter('One label and one object protect an etcd');
    await this.#succeeds(
      'kubectl',
      'label',
      'namespace',
      'default',
      'etcd-guard.io/protect=enabled',
    );
    await this.#succeeds('cat', GUARD_FILE);
    await this.#succeeds('kubectl', 'apply', '-f', GUARD_FILE);
    const { name } = await etcd.leader();
    // The API server takes a moment to see the label.
    await until('the webhook is called', async () => !(await this.dryRun(name)).allowed);
  }

  async showCluster(leader: string, health: Health): Promise<void> {
    const shown = `${health.healthy}/${health.voters}`;
    await this.#statusSays(leader, shown);
    const { text } = await this.#succeeds('kubectl', 'get', 'etcdguards');
    const row = new RegExp(String.raw`^etcd +${leader} +${shown} `, 'm');
    check(row.test(text), `${leader} leads, and ${shown} members are healthy`);
    const { text: table } = await this.#succeeds('kubectl', 'etcd-guard', 'status');
    const same = new RegExp(String.raw`^default/etcd +${leader} +${shown} `, 'm');
    check(same.test(table), `${leader} leads, and ${shown} members are healthy`);
  }

  async deletePod(pod: string): Promise<Attempt> {
    return this.#attempt(pod, () => this.#parts.shell.show(...deleting(pod)));
  }

  async deleteBoth([one, other]: readonly [string, string]): Promise<readonly [Attempt, Attempt]> {
    const sinceMs = Date.now();
    const { api } = this.#parts;
    const pods = await Promise.all([one, other].map((pod) => api.admin.get(`${PODS}/${pod}`)));
    const [reserved, outcomes] = await this.#reservedDuring(() =>
      this.#parts.shell.showBoth(deleting(one), deleting(other)),
    );
    const inLedger = pods.filter(({ metadata: { uid = '' } }) => reserved.has(uid));
    this.#reserved = inLedger.map(({ metadata }) => metadata.name);
    return Promise.all([
      this.#attemptOf(one, outcomes[0], sinceMs),
      this.#attemptOf(other, outcomes[1], sinceMs),
    ]);
  }

  async showReservation(pod: string): Promise<void> {
    const pods = this.#reserved.join(', ');
    check(pods === pod, `${pod} was reserved, and no other; but reserved were: ${pods || 'none'}`);
    remark(
      `before it went, ${pod} stood in the EtcdGuard's status.disruptedPods, where every replica looks`,
    );
  }

  async showEvents(reasons: readonly string[]): Promise<void> {
    chapter('What stands in Events');
    // A replica writes them after it has answered.
    await until(`Events of ${reasons.join(', ')}`, async () => {
      const events = await this.#parts.api.admin.list('/api/v1/namespaces/default/events');
      const found = new Set(events.map((event) => eventSchema.parse(event).reason));
      return reasons.every((reason) => found.has(reason));
    });
    const selector = '--field-selector=involvedObject.kind=Pod';
    await this.#succeeds('kubectl', 'get', 'events', selector, `-o=custom-columns=${COLUMNS}`);
  }

  async drain(pod: string): Promise<Attempt> {
    // Pods that no controller has made are only drained with --force.
    return this.#attempt(pod, () =>
      this.#parts.shell.show('kubectl', 'drain', nodeOf(pod), '--force', '--timeout=60s'),
    );
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
    const { api, etcd } = this.#parts;
    const { name: leader } = await etcd.leader();
    const { spec } = await api.admin.get(`/api/v1/nodes/${nodeOf(pod)}`);
    if (spec?.['unschedulable'] === true) await this.#succeeds('kubectl', 'uncordon', nodeOf(pod));
    await this.#succeeds('kubectl', 'create', '-f', `${pod}.yaml`);
    await this.#becomesReady(pod);
    await this.#statusSays(leader, `${etcd.members.length}/${etcd.members.length}`);
  }

  suggestions({ leader, followers: [first, second] }: Pods): readonly Suggestion[] {
    const both = `kubectl delete pod ${first} & kubectl delete pod ${second} & wait`;
    const node = nodeOf(leader);
    const glass = `kubectl annotate --overwrite pod ${second} etcd-guard.io/break-glass="to try it"`;
    return [
      { line: 'kubectl get etcdguards,pods', shows: 'who leads, and who is there' },
      {
        line: 'kubectl etcd-guard status --watch',
        shows: 'what a delete would get, every second until Ctrl-C',
      },
      {
        line: `kubectl etcd-guard check ${leader} --eviction`,
        shows: 'what a drain would get, in a dry run',
      },
      { line: `kubectl delete pod ${leader}`, shows: 'refused: it leads' },
      { line: both, shows: 'one goes, the other is refused' },
      {
        line: `kubectl drain ${node} --force; kubectl uncordon ${node}`,
        shows: 'leadership is moved first',
      },
      {
        line: `${glass}; kubectl delete pod ${second}`,
        shows: 'goes, whatever etcd says',
      },
      { line: 'kubectl describe etcdguard etcd', shows: 'its status, and what stands in Events' },
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
    await this.guard.stop();
    await Promise.all(this.#kubelets.map((kubelet) => kubelet.stop()));
    await this.#parts.api.stop();
  }

  /** The uids of pods that stood in the guard's ledger at any time meanwhile. */
  async #reservedDuring<T>(what: () => Promise<T>): Promise<readonly [ReadonlySet<string>, T]> {
    const reserved = new Set<string>();
    const { promise: watching, resolve } = Promise.withResolvers<void>();
    const heard = ({ status }: KubeObject): void => {
      const { disruptedPods } = ledgerSchema.parse(status ?? {});
      for (const uid of Object.keys(disruptedPods)) reserved.add(uid);
    };
    const ended = new AbortController();
    const handlers = {
      synced: (): void => resolve(),
      changed: heard,
      deleted: heard,
    };
    // Should it end early, what it has not heard is missed below.
    const watch = this.#parts.api.admin
      .watch(GUARDS, handlers, ended.signal)
      .catch(() => undefined);
    await Promise.race([watching, watch]);
    const result = await what();
    ended.abort();
    await watch;
    return [reserved, result];
  }

  async #attempt(pod: string, trying: () => Promise<CommandOutcome>): Promise<Attempt> {
    const sinceMs = Date.now();
    return this.#attemptOf(pod, await trying(), sinceMs);
  }

  /** Replicas take turns, so that none answers what it was itself that allowed. */
  async #attemptOf(
    pod: string,
    { exitCode, text }: CommandOutcome,
    sinceMs: number,
  ): Promise<Attempt> {
    const by = await this.guard.answeredBy(pod, sinceMs);
    this.guard.askAnother(by);
    return { allowed: exitCode === 0, text, outcome: `exit code ${exitCode}, answered by ${by}` };
  }

  /** The replica that keeps the status writes it a moment after something has changed. */
  async #statusSays(leader: string, health: string): Promise<void> {
    await until(`the EtcdGuard's status says ${leader} and ${health}`, async () => {
      const { status } = await this.#parts.api.admin.get(`${GUARDS}/etcd`);
      return status?.['leader'] === leader && status['health'] === health;
    });
  }

  async #succeeds(...line: Command): Promise<CommandOutcome> {
    const outcome = await this.#parts.shell.show(...line);
    const { exitCode } = outcome;
    check(exitCode === 0, `${line.join(' ')} ended with exit code ${exitCode}`);
    return outcome;
  }

  async #becomesReady(pod: string): Promise<void> {
    await until(`${pod} is ready`, async () => {
      const { status } = await this.#parts.api.admin.get(`${PODS}/${pod}`);
      return isReady(status);
    });
  }
}

function deleting(pod: string): Command {
  return ['kubectl', 'delete', 'pod', pod];
}

function nodeOf(pod: string): string {
  return pod.replace(/^etcd/, 'node');
}

/** Nothing is said of ports: each pod names its own. */
function guardManifest({ members }: EtcdCluster): string {
  const hosts = new Set(members.map(({ host }) => host));
  // Where loopback has but one address, a pod's own can't tell it from another.
  const shared = hosts.size < members.length;
  const addresses = Object.fromEntries(members.map(({ name, address }) => [name, address]));
  return stringify({
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name: 'etcd', namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: 'etcd' } },
      ...(shared && { members: { addresses } }),
    },
  });
}

const eventSchema = z.looseObject({ reason: z.string() });
const COLUMNS = 'POD:.involvedObject.name,TYPE:.type,REASON:.reason,COUNT:.count';

const ledgerSchema = z.looseObject({
  disruptedPods: z.record(z.string(), z.unknown()).default({}),
});

const conditionsSchema = z.object({
  conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
});

function isReady(status: unknown): boolean {
  const { conditions } = conditionsSchema.parse(status);
  return conditions.some((one) => one.type === 'Ready' && one.status === 'True');
}
