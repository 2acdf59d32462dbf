import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { z } from 'zod';
import { setTimeout as delay } from 'node:timers/promises';
import type { EtcdCluster } from '../../test/harness/etcd-cluster.ts';
import { etcdPod } from '../../test/harness/etcd-pods.ts';
import type { Guard } from './guard.ts';
import { check, output, remark, request } from './narration.ts';
import type { Attempt, Presence, Stage } from './stage.ts';

const USER = { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] };
const GRACE_SECONDS = 30;

const answerSchema = z.object({
  response: z.object({
    uid: z.string(),
    allowed: z.boolean(),
    status: z.object({ code: z.number(), reason: z.string(), message: z.string() }).optional(),
    warnings: z.array(z.string()).default([]),
  }),
});

/** Posts to the guard what an API server would, and does to members what the kubelet would. */
export class ReviewsStage implements Stage {
  readonly #directory: string;
  readonly #etcd: EtcdCluster;
  readonly #guard: Guard;

  constructor(directory: string, { etcd, guard }: { etcd: EtcdCluster; guard: Guard }) {
    this.#directory = directory;
    this.#etcd = etcd;
    this.#guard = guard;
  }

  async deletePod(pod: string): Promise<Attempt> {
    return this.#attempt(pod, deletion(this.#manifest(pod), false), `DELETE pods ${pod}`);
  }

  async drain(pod: string): Promise<Attempt> {
    return this.#attempt(pod, eviction(pod), `CREATE pods/eviction ${pod}`);
  }

  async dryRun(pod: string): Promise<Attempt> {
    return this.#post(deletion(this.#manifest(pod), true));
  }

  async presence(pod: string): Promise<Presence> {
    return this.#etcd.member(pod).process.running ? 'there' : 'gone';
  }

  async bringBack(pod: string): Promise<void> {
    await this.#etcd.restartMember(pod);
  }

  suggestions(leader: string, follower: string): readonly string[] {
    const posting = (pod: string): string =>
      `curl --cacert guard-ca.crt -H 'content-type: application/json' -d @delete-${pod}.json '${this.#url}'`;
    return [posting(leader), posting(follower)];
  }

  async keepRunning(signal: AbortSignal): Promise<void> {
    for (const { name } of this.#etcd.members) {
      const review = deletion(this.#manifest(name), true);
      await writeFile(join(this.#directory, `delete-${name}.json`), JSON.stringify(review));
    }
    // Nobody is taken away here, so nobody has to come back.
    if (!signal.aborted) await once(signal, 'abort');
  }

  async stop(): Promise<void> {
    await delay(0);
  }

  get #url(): string {
    return `${this.#guard.url}/validate?timeout=10s`;
  }

  #manifest(pod: string): Record<string, unknown> {
    return etcdPod(this.#etcd.member(pod), { nodeName: `node-of-${pod}` });
  }

  async #attempt(pod: string, review: Review, what: string): Promise<Attempt> {
    request(`POST ${this.#url} (${what})`);
    const attempt = await this.#post(review);
    output(attempt.text);
    if (attempt.allowed && this.#etcd.member(pod).process.running) {
      remark(`so ${pod} gets SIGTERM, as from its kubelet`);
      await this.#etcd.stopMember(pod);
    }
    return attempt;
  }

  async #post(review: Review): Promise<Attempt> {
    const body = await post(this.#url, this.#guard.ca, JSON.stringify(review));
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
