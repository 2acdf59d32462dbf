import { X509Certificate } from 'node:crypto';
import { CertificateKeeper, type CertificatePlace } from '../../src/certificates/keeper.ts';
import type { Lifetimes } from '../../src/certificates/validity.ts';
import type { KubernetesApi, KubernetesObject } from '../../src/kubernetes/api/api.ts';
import type { ServingCertificate } from '../../src/server/certificate.ts';
import { FakeKubernetes } from '../fakes/fake-kubernetes.ts';

export const PLACE: CertificatePlace = {
  namespace: 'etcd-guard',
  secret: 'etcd-guard-tls',
  service: 'etcd-guard',
  configuration: 'etcd-guard',
};
export const SERVICE_NAMES = [
  'etcd-guard.etcd-guard.svc',
  'etcd-guard.etcd-guard.svc.cluster.local',
  'etcd-guard.etcd-guard',
  'etcd-guard',
];
export const SETTLE_MS = 15_000;
export const POLL_MS = 5_000;
export const DAY_MS = 86_400_000;
export const SECRET = 'Secret';
export const CONFIGURATION = 'ValidatingWebhookConfiguration';

export interface LoggedLine {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A webhook as a configuration has it. */
export function webhook(name: string, clientConfig: Readonly<Record<string, unknown>>) {
  return { name, clientConfig, failurePolicy: 'Fail' };
}

export function configuration(
  ...webhooks: readonly unknown[]
): Parameters<FakeKubernetes['put']>[0] {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: CONFIGURATION,
    metadata: { name: 'etcd-guard' },
    webhooks,
  };
}

export const OUR_SERVICE = {
  service: { namespace: 'etcd-guard', name: 'etcd-guard', path: '/validate' },
};
export const OURS = configuration(webhook('pods.etcd-guard.io', OUR_SERVICE));

/** A Secret with this content, labelled as the guard's own unless told otherwise. */
export function secret(
  data: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>> = { 'app.kubernetes.io/managed-by': 'etcd-guard' },
): Parameters<FakeKubernetes['put']>[0] {
  return {
    apiVersion: 'v1',
    kind: SECRET,
    type: 'Opaque',
    metadata: { name: 'etcd-guard-tls', namespace: 'etcd-guard', labels },
    data: Object.fromEntries(
      Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
    ),
  };
}

/** An API server and a time of day for replicas that live in it. */
export class World {
  readonly api: FakeKubernetes;
  nowMs = Date.parse('2026-03-04T05:06:07Z');

  constructor(...seeds: readonly Parameters<FakeKubernetes['put']>[0][]) {
    this.api = new FakeKubernetes(...seeds);
  }

  replica(options: ReplicaOptions = {}): Replica {
    return new Replica(this, options);
  }

  /** Texts of the Secret; empty where there is none. */
  get stored(): Readonly<Record<string, string>> {
    const data: unknown = this.api.find(SECRET, PLACE.secret)?.['data'];
    return Object.fromEntries(
      Object.entries(data ?? {}).map(([key, value]) => [
        key,
        Buffer.from(String(value), 'base64').toString(),
      ]),
    );
  }

  get annotations(): Readonly<Record<string, string>> {
    return this.api.find(SECRET, PLACE.secret)?.metadata.annotations ?? {};
  }

  /** The caBundle of each webhook. */
  get bundles(): readonly string[] {
    return bundlesOf(this.api.find(CONFIGURATION, PLACE.configuration));
  }

  /** Writes these caBundles, as somebody else would. */
  putBundles(caBundle: string): void {
    this.api.change(CONFIGURATION, PLACE.configuration, (object) => ({
      ...object,
      webhooks: clientsOf(object).map(([one, client]) => ({
        ...one,
        clientConfig: { ...client, caBundle: Buffer.from(caBundle).toString('base64') },
      })),
    }));
  }
}

export interface ReplicaOptions {
  /** Its own way to the world's API server. */
  readonly api?: KubernetesApi;
  /** What its clock is ahead of the world's. */
  readonly aheadMs?: number;
  readonly lifetimes?: Lifetimes;
  readonly place?: Partial<CertificatePlace>;
}

export class Replica {
  readonly log: LoggedLine[] = [];
  readonly served: ServingCertificate[] = [];
  unusable = 0;
  aheadMs: number;
  readonly #world: World;
  readonly #keeper: CertificateKeeper;

  constructor(world: World, { aheadMs = 0, lifetimes, place, api = world.api }: ReplicaOptions) {
    this.#world = world;
    this.aheadMs = aheadMs;
    const line =
      (level: LoggedLine['level']) =>
      (fields: object, message: string): void => {
        this.log.push({ level, message, fields: { ...fields } });
      };
    this.#keeper = new CertificateKeeper({
      api,
      place: { ...PLACE, ...place },
      log: { info: line('info'), warn: line('warn'), error: line('error') },
      serve: (certificate) => this.served.push(certificate),
      onUnusable: () => (this.unusable += 1),
      nowMs: () => world.nowMs + this.aheadMs,
      monotonicMs: () => world.nowMs,
      settleMs: SETTLE_MS,
      ...(lifetimes && { lifetimes }),
    });
  }

  get serves(): X509Certificate | null {
    const last = this.served.at(-1);
    return last === undefined ? null : new X509Certificate(last.cert);
  }

  look(): Promise<number> {
    return this.#keeper.look();
  }

  /** Looks as often as it does by itself, over this time. */
  async live(ms: number): Promise<void> {
    for (const end = this.#world.nowMs + ms; this.#world.nowMs < end;) {
      await this.look();
      this.#world.nowMs += POLL_MS;
    }
  }

  messages(): readonly string[] {
    return this.log.map(({ message }) => message);
  }

  /** The reasons of what needed attention. */
  complaints(): readonly unknown[] {
    return this.log.filter(({ level }) => level === 'error').map(({ fields }) => fields['why']);
  }
}

export function certificates(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

/** As a TLS client judges: a chain of two, and both valid at that time. */
export function isValidFor(leaf: X509Certificate, bundle: string, nowMs: number): boolean {
  const isTimely = (one: X509Certificate): boolean =>
    one.validFromDate.getTime() <= nowMs && nowMs <= one.validToDate.getTime();
  return certificates(bundle).some(
    (authority) =>
      authority.ca &&
      leaf.checkIssued(authority) &&
      leaf.verify(authority.publicKey) &&
      isTimely(authority) &&
      isTimely(leaf),
  );
}

export function bundlesOf(object: KubernetesObject | null): readonly string[] {
  return clientsOf(object).map(([, { caBundle }]) =>
    typeof caBundle === 'string' ? Buffer.from(caBundle, 'base64').toString() : '',
  );
}

type Fields = Readonly<Record<string, unknown>>;

function clientsOf(object: KubernetesObject | null): readonly (readonly [Fields, Fields])[] {
  const webhooks: readonly { readonly clientConfig: Fields }[] = JSON.parse(
    JSON.stringify(object?.['webhooks'] ?? []),
  );
  return webhooks.map((one) => [one, one.clientConfig]);
}
