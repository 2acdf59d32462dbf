import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { z } from 'zod';
import type { EtcdCluster } from '../../test/harness/etcd-cluster.ts';
import { etcdPod } from '../../test/harness/etcd-pods.ts';
import { until } from '../../test/harness/until.ts';
import { Guard } from './guard.ts';
import { chapter, check, output, remark, request } from './narration.ts';
import type { Shell } from './shell.ts';
import type { Attempt, Health, Pods, Presence, Stage, Suggestion } from './stage.ts';

const USER = { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] };
const GRACE_SECONDS = 30;
const GUARDS_FILE = 'guards.yaml';
/**
 * The guard looks at members that it let go once a second, and has to see this one silent to
 * know it again when it is back. No real pod is replaced faster than that.
 */
const AWAY_MS = 2_500;

const answerSchema = z.object({
  response: z.object({
    uid: z.string(),
    allowed: z.boolean(),
    status: z.object({ code: z.number(), reason: z.string(), message: z.string() }).optional(),
    warnings: z.array(z.string()).default([]),
  }),
});

const STATUS = ['etcd-guard', 'status', '--guards', GUARDS_FILE] as const;

const statusSchema = z.object({
  items: z.tuple([z.object({ status: z.object({ healthyVoters: z.number().nullable() }) })]),
});

interface Parts {
  readonly etcd: EtcdCluster;
  readonly shell: Shell;
  /** Where files go; also where the shell runs. */
  readonly directory: string;
}

/** Posts to a guard that reads its guards from a file what an API server would, and does to members what the kubelet would. */
export class ReviewsStage implements Stage {
  readonly guard: Guard;
  readonly #parts: Parts;

  private constructor(parts: Parts, guard: Guard) {
    this.#parts = parts;
    this.guard = guard;
  }

  static async start(parts: Parts): Promise<ReviewsStage> {
    const { etcd, directory } = parts;
    await writeFile(join(directory, GUARDS_FILE), guardsFile(etcd));
    const args = [`--guards=${GUARDS_FILE}`];
    return new ReviewsStage(parts, await Guard.start({ directory, args, replicas: 1 }));
  }

  async protect(): Promise<void> {
    chapter('A file says which etcd is protected');
    const { exitCode } = await this.#parts.shell.show('cat', GUARDS_FILE);
    check(exitCode === 0, `cat ended with exit code ${exitCode}`);
  }

  async showCluster(leader: string, { healthy, voters }: Health): Promise<void> {
    const { exitCode, text } = await this.#parts.shell.show(...STATUS);
    check(exitCode === 0, `etcd-guard status ended with exit code ${exitCode}`);
    const row = new RegExp(String.raw`^default/etcd +${leader} +${healthy}/${voters} `, 'm');
    check(row.test(text), `${leader} leads, and ${healthy} of ${voters} members are healthy`);
  }

  async deletePod(pod: string): Promise<Attempt> {
    this.#show('DELETE pods', pod);
    return this.#carryOut(pod, await this.#post(deletion(this.#manifest(pod), false)));
  }

  async deleteBoth([one, other]: readonly [string, string]): Promise<readonly [Attempt, Attempt]> {
    this.#show('DELETE pods', one);
    this.#show('DELETE pods', other);
    const attempts = await Promise.all([
      this.#post(deletion(this.#manifest(one), false)),
      this.#post(deletion(this.#manifest(other), false)),
    ]);
    return [await this.#carryOut(one, attempts[0]), await this.#carryOut(other, attempts[1])];
  }

  /** It is in the guard's memory. */
  async showReservation(): Promise<void> {}

  /** There is nowhere to write them to but the log. */
  async showEvents(): Promise<void> {}

  async drain(pod: string): Promise<Attempt> {
    this.#show('CREATE pods/eviction', pod);
    return this.#carryOut(pod, await this.#post(eviction(pod)));
  }

  async dryRun(pod: string): Promise<Attempt> {
    return this.#post(deletion(this.#manifest(pod), true));
  }

  async presence(pod: string): Promise<Presence> {
    return this.#parts.etcd.member(pod).process.running ? 'there' : 'gone';
  }

  async bringBack(pod: string): Promise<void> {
    await delay(AWAY_MS);
    await this.#parts.etcd.restartMember(pod);
    await this.#holdsNothing();
    await until('three healthy members', async () => {
      const { text } = await this.#parts.shell.quietly(...STATUS, '-o', 'json');
      const [{ status }] = statusSchema.parse(JSON.parse(text)).items;
      return status.healthyVoters === 3;
    });
  }

  suggestions({ leader, followers: [follower] }: Pods): readonly Suggestion[] {
    const posting = (pod: string): string =>
      `curl -sSw '\\n' --cacert guard-ca.crt -H 'content-type: application/json' -d @delete-${pod}.json '${this.#url}'`;
    return [
      {
        line: `${STATUS.join(' ')} --watch`,
        shows: 'what a delete would get, every second until Ctrl-C',
      },
      {
        line: `etcd-guard check ${leader} --eviction --guards ${GUARDS_FILE}`,
        shows: 'what a drain would get, in a dry run',
      },
      { line: posting(leader), shows: 'the review of a dry-run delete: refused, it leads' },
      { line: posting(follower), shows: 'the same of a follower: allowed' },
    ];
  }

  async keepRunning(signal: AbortSignal): Promise<void> {
    for (const { name } of this.#parts.etcd.members) {
      const review = deletion(this.#manifest(name), true);
      await writeFile(join(this.#parts.directory, `delete-${name}.json`), JSON.stringify(review));
    }
    // Nobody is taken away here, so nobody has to come back.
    if (!signal.aborted) await once(signal, 'abort');
  }

  async stop(): Promise<void> {
    await this.guard.stop();
  }

  get #url(): string {
    return `${this.guard.url}/validate?timeout=10s`;
  }

  #manifest(pod: string): Record<string, unknown> {
    return etcdPod(this.#parts.etcd.member(pod), { nodeName: `node-of-${pod}` });
  }

  /** Waits until it holds no reservation any more: who was allowed to go has come back. */
  async #holdsNothing(): Promise<void> {
    await until('the guard holds no reservation', async () => {
      const reservations = await this.guard.metric('etcdguard_reservations');
      return reservations.length > 0 && reservations.every(({ value }) => value === 0);
    });
  }

  #show(what: string, pod: string): void {
    request(`POST ${this.#url} (${what} ${pod})`);
  }

  async #carryOut(pod: string, attempt: Attempt): Promise<Attempt> {
    output(attempt.text);
    if (attempt.allowed && this.#parts.etcd.member(pod).process.running) {
      remark(`so ${pod} gets SIGTERM, as from its kubelet`);
      await this.#parts.etcd.stopMember(pod);
    }
    return attempt;
  }

  async #post(review: Review): Promise<Attempt> {
    const body = await post(this.#url, this.guard.ca, JSON.stringify(review));
    const { response } = answerSchema.parse(JSON.parse(body));
    check(response.uid === review.request.uid, `the answer is for another review: ${body}`);
    const { allowed, status, warnings } = response;
    const said = status ? [`${status.code} ${status.reason}: ${status.message}`] : ['allowed'];
    return {
      allowed,
      text: [...warnings.map((warning) => `Warning: ${warning}`), ...said].join('\n'),
      outcome: status ? `code ${status.code}` : 'allowed',
    };
  }
}

function guardsFile({ members }: EtcdCluster): string {
  return stringify({
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name: 'etcd', namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: 'etcd' } },
      members: {
        addresses: Object.fromEntries(members.map(({ name, address }) => [name, address])),
      },
    },
  });
}

interface Review {
  readonly request: { readonly uid: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

function deletion(pod: Record<string, unknown>, dryRun: boolean): Review {
  const { metadata } = z.object({ metadata: z.looseObject({ name: z.string() }) }).parse(pod);
  return reviewOf({
    kind: { group: '', version: 'v1', kind: 'Pod' },
    name: metadata.name,
    operation: 'DELETE',
    dryRun,
    object: null,
    oldObject: pod,
    options: {
      kind: 'DeleteOptions',
      apiVersion: 'meta.k8s.io/v1',
      gracePeriodSeconds: GRACE_SECONDS,
      ...(dryRun ? { dryRun: ['All'] } : {}),
    },
  });
}

function eviction(pod: string): Review {
  return reviewOf({
    kind: { group: 'policy', version: 'v1', kind: 'Eviction' },
    subResource: 'eviction',
    name: pod,
    operation: 'CREATE',
    dryRun: false,
    object: {
      kind: 'Eviction',
      apiVersion: 'policy/v1',
      metadata: { name: pod, namespace: 'default' },
    },
    oldObject: null,
    options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
  });
}

function reviewOf(about: Readonly<Record<string, unknown>>): Review {
  const resource = { group: '', version: 'v1', resource: 'pods' };
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: randomUUID(),
      resource,
      requestResource: resource,
      requestKind: about['kind'],
      namespace: 'default',
      userInfo: USER,
      ...about,
    },
  };
}

async function post(url: string, ca: string, body: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const posting = httpsRequest(
    url,
    { method: 'POST', ca, headers: { 'content-type': 'application/json' } },
    (response) => {
      let text = '';
      response
        .setEncoding('utf8')
        .on('data', (chunk: string) => (text += chunk))
        .on('end', () => resolve(text))
        .on('error', reject);
    },
  );
  posting.on('error', reject);
  posting.end(body);
  return promise;
}
