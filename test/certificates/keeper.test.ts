import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ApiError } from '../../src/kubernetes/api/api.ts';
import type { FakeApiCall } from '../fakes/fake-kubernetes.ts';
import { CertificateAuthority } from '../harness/certificates.ts';
import {
  certificates,
  configuration,
  CONFIGURATION,
  DAY_MS,
  isValidFor,
  OUR_SERVICE,
  OURS,
  PLACE,
  POLL_MS,
  SECRET,
  secret,
  SERVICE_NAMES,
  SETTLE_MS,
  webhook,
  World,
  type Replica,
} from './world.ts';

const ONLY_CA = 1;

/** A world where one replica serves, and is trusted since a while. */
async function established(...others: Parameters<World['api']['put']>[]) {
  const world = new World(OURS);
  for (const [other] of others) world.api.put(other);
  const replica = world.replica();
  await replica.live(2 * SETTLE_MS);
  replica.log.length = 0;
  return { world, replica };
}

function trusts(world: World, { serves }: Replica): boolean {
  return (
    serves !== null &&
    world.bundles.length > 0 &&
    world.bundles.every((bundle) => isValidFor(serves, bundle, world.nowMs))
  );
}

function writes(world: World): readonly string[] {
  return world.api.calls
    .filter(({ verb }) => ['create', 'replace', 'patch'].includes(verb))
    .map(({ verb, plural }) => `${verb} ${plural}`);
}

function refused(verb: FakeApiCall['verb'], plural: string, code: ApiError['code'] = 'forbidden') {
  return (call: FakeApiCall) =>
    call.verb === verb && call.plural === plural
      ? new ApiError(code, `${verb} ${plural}: no`)
      : null;
}

/** Content of a Secret that some authority has made for our Service. */
async function handmade(validMs: number, nowMs: number) {
  const authority = await CertificateAuthority.create('handmade');
  const issued = await authority.issue({
    commonName: 'etcd-guard',
    names: SERVICE_NAMES,
    notBefore: new Date(nowMs - 3_600_000),
    notAfter: new Date(nowMs + validMs),
  });
  return {
    'ca.crt': `${authority.cert}\n`,
    'ca.key': await authority.exportKey(),
    'tls.crt': `${issued.cert}\n`,
    'tls.key': issued.key,
  };
}

describe('the first start', () => {
  it('makes an authority and a certificate, serves it, and has the webhooks trust it', async () => {
    const world = new World(OURS);
    const replica = world.replica();
    expect(await replica.look()).toBe(POLL_MS);
    expect(Object.keys(world.stored).sort()).toStrictEqual([
      'ca.crt',
      'ca.key',
      'tls.crt',
      'tls.key',
    ]);
    expect(world.api.at(SECRET, PLACE.secret)).toMatchObject({
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'Opaque',
      metadata: {
        namespace: 'etcd-guard',
        labels: { 'app.kubernetes.io/managed-by': 'etcd-guard' },
        annotations: {},
      },
    });
    expect(replica.served.map(({ cert }) => cert)).toStrictEqual([world.stored['tls.crt']]);
    expect(trusts(world, replica)).toBe(true);
    expect(world.bundles).toStrictEqual([world.stored['ca.crt']]);
    expect(replica.messages()).toStrictEqual([
      'made a new authority',
      'issued a new certificate',
      'serving a new certificate',
      'wrote the caBundle',
    ]);
    expect(replica.unusable).toBe(0);
  });

  it('makes what a TLS server and its clients need, and no more', async () => {
    const { world } = await established();
    const leaf = new X509Certificate(world.stored['tls.crt'] ?? '');
    expect(leaf.subjectAltName).toBe(SERVICE_NAMES.map((name) => `DNS:${name}`).join(', '));
    expect(leaf.keyUsage).toStrictEqual(['1.3.6.1.5.5.7.3.1']);
    expect(leaf.ca).toBe(false);
    expect(leaf.publicKey.asymmetricKeyDetails).toMatchObject({ namedCurve: 'prime256v1' });
    const [authority, ...others] = certificates(world.stored['ca.crt'] ?? '');
    expect(others).toStrictEqual([]);
    expect(authority?.subject).toMatch(/^CN=etcd-guard CA [0-9a-f]{8}$/);
    expect(authority?.ca).toBe(true);
  });

  it('then reads every five seconds and writes nothing more', async () => {
    const { world, replica } = await established();
    world.api.calls.length = 0;
    await replica.live(60_000);
    expect(writes(world)).toStrictEqual([]);
    expect(world.api.calls).toHaveLength(24);
    expect(replica.log).toStrictEqual([]);
  });

  it('of two replicas at the same instant gives them one certificate', async () => {
    const world = new World(OURS);
    const replicas = [world.replica(), world.replica(), world.replica()];
    await Promise.all(replicas.map((replica) => replica.look()));
    await Promise.all(replicas.map((replica) => replica.look()));
    const fingerprints = replicas.map(({ served }) => served.at(-1)?.fingerprint);
    expect(new Set(fingerprints).size).toBe(1);
    expect(replicas.every((replica) => trusts(world, replica))).toBe(true);
    expect(replicas.flatMap((replica) => replica.complaints())).toStrictEqual([]);
  });

  it('fills a Secret that was made beforehand for lack of the right to create one', async () => {
    const world = new World(OURS);
    world.api.put({ ...secret({}), data: null });
    const replica = world.replica();
    await replica.look();
    expect(trusts(world, replica)).toBe(true);
    expect(replica.complaints()).toStrictEqual([]);
  });

  it('without a Secret that can be written is not ready, says so once, and goes on trying', async () => {
    const world = new World(OURS);
    world.api.fault = refused('create', 'secrets');
    const replica = world.replica();
    for (let time = 0; time < 5; time += 1) expect(await replica.look()).toBe(500);
    expect(replica.served).toStrictEqual([]);
    expect(world.bundles).toStrictEqual(['']);
    expect(replica.complaints()).toStrictEqual([
      'create secrets: no (not ready: a certificate that is not shared would break the other replicas)',
    ]);
    world.api.fault = () => null;
    await replica.look();
    expect(trusts(world, replica)).toBe(true);
    expect(replica.messages()).toContain('that is over');
  });

  it('with an API server that is away goes on trying', async () => {
    const world = new World(OURS);
    world.api.fault = () => new ApiError('unreachable', 'nobody there');
    const replica = world.replica();
    await replica.look();
    await replica.look();
    expect(replica.complaints()).toStrictEqual(['nobody there']);
    world.api.fault = () => null;
    await replica.look();
    expect(trusts(world, replica)).toBe(true);
  });

  it('takes over what another replica has stored', async () => {
    const { world, replica } = await established();
    const second = world.replica();
    await second.look();
    expect(second.served).toStrictEqual(replica.served);
    expect(second.messages()).toStrictEqual(['serving a new certificate']);
  });
});

describe('the webhook configuration', () => {
  it('is repaired within a look when its caBundle was wiped or replaced', async () => {
    const { world, replica } = await established();
    for (const wrong of ['', 'no certificate', (await handmade(DAY_MS, world.nowMs))['ca.crt']]) {
      world.putBundles(wrong);
      await replica.look();
      expect(trusts(world, replica)).toBe(true);
      world.nowMs += POLL_MS;
    }
    expect(writes(world).slice(-3)).toStrictEqual(
      Array.from({ length: 3 }, () => 'patch validatingwebhookconfigurations'),
    );
  });

  it('is not fought over without end', async () => {
    const { world, replica } = await established();
    world.api.calls.length = 0;
    for (let time = 0; time < 240; time += 1) {
      world.putBundles('');
      await replica.look();
      world.nowMs += POLL_MS;
    }
    // Twenty minutes: some at once, then after 10 s, 20 s, 40 s … and every five minutes.
    expect(writes(world).length).toBeLessThan(20);
    expect(writes(world).length).toBeGreaterThan(8);
    expect(replica.complaints()).toStrictEqual([
      'somebody else keeps changing the caBundle of ValidatingWebhookConfiguration etcd-guard: writing it less and less often; if it is cert-manager, use --tls-cert and --tls-key',
    ]);
    await replica.live(3_600_000);
    expect(trusts(world, replica)).toBe(true);
    world.putBundles('');
    await replica.look();
    expect(trusts(world, replica)).toBe(true);
  });

  it('that rests on an older Secret is not written over one that rests on a newer', async () => {
    const { world, replica } = await established();
    const second = world.replica();
    await second.look();
    world.putBundles('');
    const written: string[] = [];
    let overtaken = false;
    world.api.hold = async ({ verb }, at) => {
      if (verb !== 'patch') return;
      if (at === 'end') {
        written.push(...world.bundles);
      } else if (!overtaken) {
        // The other has read the Secret, and stands before its write.
        overtaken = true;
        const { 'ca.key': _key, ...others } = world.stored;
        world.api.put(secret(others));
        await second.look();
      }
    };
    await replica.look();
    expect(overtaken).toBe(true);
    expect(written.map((bundle) => certificates(bundle).length)).toStrictEqual([2]);
    expect(world.bundles).toStrictEqual([world.stored['ca.crt']]);
  });

  it('may be missing: the certificate is served, and trusted once there is one', async () => {
    const world = new World();
    const replica = world.replica();
    await replica.look();
    expect(replica.served).toHaveLength(1);
    expect(replica.complaints()).toStrictEqual([
      'there is no ValidatingWebhookConfiguration etcd-guard: nothing is guarded until there is',
    ]);
    world.api.put(OURS);
    await replica.look();
    expect(trusts(world, replica)).toBe(true);
    world.api.remove(CONFIGURATION, 'etcd-guard');
    await replica.look();
    world.api.put(OURS);
    await replica.look();
    expect(trusts(world, replica)).toBe(true);
    expect(replica.served).toHaveLength(1);
  });

  it('is changed where it names our Service or a URL, and nowhere else', async () => {
    const foreign = {
      service: { namespace: 'other', name: 'etcd-guard' },
      caBundle: 'Zm9yZWlnbg==',
    };
    const world = new World(
      configuration(
        webhook('ours', OUR_SERVICE),
        webhook('foreign', foreign),
        webhook('outside', { url: 'https://guard.example:8443/validate' }),
        webhook('by address', { url: 'https://[::1]:8443/validate' }),
      ),
    );
    const replica = world.replica();
    await replica.look();
    const [ours, other, outside, byAddress] = world.bundles;
    expect(other).toBe('foreign');
    expect([ours, outside, byAddress]).toStrictEqual(
      Array.from({ length: 3 }, () => world.stored['ca.crt']),
    );
    expect(replica.serves?.checkHost('guard.example')).toBe('guard.example');
    expect(replica.serves?.checkIP('::1')).toBe('::1');
    const { webhooks } = world.api.at(CONFIGURATION, 'etcd-guard');
    expect(webhooks).toMatchObject([
      { name: 'ours', failurePolicy: 'Fail', clientConfig: OUR_SERVICE },
      { name: 'foreign', clientConfig: foreign },
      {},
      {},
    ]);
  });

  it('that names none of ours is left alone, and that is said', async () => {
    const world = new World(OURS);
    const replica = world.replica({ place: { service: 'renamed' } });
    await replica.look();
    expect(world.bundles).toStrictEqual(['']);
    expect(replica.complaints()).toStrictEqual([
      'no webhook of ValidatingWebhookConfiguration etcd-guard names the Service etcd-guard/renamed or a URL: nothing is guarded',
    ]);
  });

  it('with a new URL makes for a certificate with that name', async () => {
    const { world, replica } = await established();
    world.api.put(
      configuration(webhook('outside', { url: 'https://guard.example:8443/validate' })),
    );
    await replica.look();
    expect(replica.served).toHaveLength(2);
    expect(replica.serves?.checkHost('guard.example')).toBe('guard.example');
    expect(trusts(world, replica)).toBe(true);
  });

  it.each(['get', 'patch'] as const)(
    'that we may not %s is left to the operator, and the certificate is served',
    async (verb) => {
      const world = new World(OURS);
      world.api.fault = refused(verb, 'validatingwebhookconfigurations');
      const replica = world.replica();
      await replica.look();
      expect(replica.served).toHaveLength(1);
      expect(world.bundles).toStrictEqual(['']);
      expect(replica.complaints()).toHaveLength(1);
      world.putBundles(world.stored['ca.crt'] ?? '');
      expect(trusts(world, replica)).toBe(true);
    },
  );
});

describe('renewal', () => {
  it('of the certificate comes a month before its end, with the same authority', async () => {
    const { world, replica } = await established();
    const ca = world.stored['ca.crt'];
    world.nowMs += 59 * DAY_MS;
    await replica.look();
    expect(replica.served).toHaveLength(1);
    world.nowMs += DAY_MS;
    await replica.look();
    expect(replica.served).toHaveLength(2);
    expect(world.stored['ca.crt']).toBe(ca);
    expect(trusts(world, replica)).toBe(true);
    expect(replica.messages()).toStrictEqual([
      'issued a new certificate',
      'serving a new certificate',
    ]);
    await replica.look();
    expect(replica.served).toHaveLength(2);
  });

  it('of the authority is announced first, used later, and the old one goes when nothing of it is valid', async () => {
    const { world, replica } = await established();
    const [old = ''] = world.bundles;
    world.nowMs += 7 * 365 * DAY_MS;
    // A certificate of that time; the authority is due with it.
    await replica.look();
    const first = replica.serves;
    expect(certificates(world.stored['ca.crt'] ?? '')).toHaveLength(2);
    expect(world.bundles).toStrictEqual([world.stored['ca.crt']]);
    expect(world.bundles[0]).toContain(old.trim());
    expect(replica.messages()).toStrictEqual(['made a new authority', 'wrote the caBundle']);
    world.nowMs += SETTLE_MS - 1;
    await replica.look();
    expect(replica.serves?.fingerprint256).toBe(first?.fingerprint256);
    world.nowMs += 1;
    await replica.look();
    expect(replica.serves?.fingerprint256).not.toBe(first?.fingerprint256);
    expect(trusts(world, replica)).toBe(true);
    expect(certificates(world.bundles[0] ?? '')).toHaveLength(2);
    world.nowMs += 91 * DAY_MS;
    await replica.look();
    await replica.look();
    expect(certificates(world.bundles[0] ?? '')).toHaveLength(ONLY_CA);
    expect(world.bundles[0]).not.toContain(old.trim());
    expect(world.annotations).toStrictEqual({});
    expect(trusts(world, replica)).toBe(true);
  });

  it('of the authority keeps the old one as long as a certificate of it is valid', async () => {
    const { world, replica } = await established();
    world.nowMs += 6.6 * 365 * DAY_MS;
    await replica.live(SETTLE_MS);
    // Due on one day with the authority: a certificate for 90 days from now on.
    await replica.live(2 * SETTLE_MS);
    const leafOfOld = replica.serves?.validToDate.getTime() ?? 0;
    const before = certificates(world.stored['ca.crt'] ?? '').length;
    world.nowMs += 0.2 * 365 * DAY_MS;
    await replica.live(2 * SETTLE_MS);
    expect(before).toBe(ONLY_CA);
    expect(certificates(world.stored['ca.crt'] ?? '')).toHaveLength(2);
    expect(Date.parse(world.annotations['etcd-guard.io/retire-after'] ?? '')).toBe(leafOfOld);
    world.nowMs = leafOfOld - 60_000;
    await replica.look();
    expect(certificates(world.bundles[0] ?? '')).toHaveLength(2);
    world.nowMs = leafOfOld + 60_000;
    await replica.look();
    expect(certificates(world.bundles[0] ?? '')).toHaveLength(ONLY_CA);
  });

  it('asked for by removing ca.key is a new authority, with the old one trusted', async () => {
    const { world, replica } = await established();
    const { 'ca.key': _key, ...others } = world.stored;
    world.api.put(secret(others));
    await replica.look();
    expect(certificates(world.bundles[0] ?? '')).toHaveLength(2);
    await replica.live(2 * SETTLE_MS);
    expect(replica.served).toHaveLength(2);
    expect(trusts(world, replica)).toBe(true);
    expect(replica.complaints()).toStrictEqual([]);
  });

  it('goes on where a replica that is gone has stopped', async () => {
    const { world } = await established();
    world.nowMs += 7 * 365 * DAY_MS;
    for (const stopsBefore of ['patch', 'replace'] as const) {
      // Each of these dies before its first call of that kind.
      world.api.fault = ({ verb, plural }) =>
        verb === stopsBefore && (verb === 'patch' || plural === 'secrets')
          ? new ApiError('unreachable', 'gone')
          : null;
      await world.replica().look();
    }
    world.api.fault = () => null;
    const last = world.replica();
    await last.live(3 * SETTLE_MS);
    expect(trusts(world, last)).toBe(true);
    expect(last.serves?.validToDate.getTime()).toBeGreaterThan(world.nowMs);
    expect(certificates(world.stored['ca.crt'] ?? '')).toHaveLength(ONLY_CA + 1);
  });

  it('that can’t be written keeps the old certificate, and says so', async () => {
    const { world, replica } = await established();
    world.nowMs += 61 * DAY_MS;
    world.api.fault = refused('replace', 'secrets');
    await replica.look();
    await replica.look();
    expect(replica.served).toHaveLength(1);
    expect(replica.complaints()).toStrictEqual([
      'replace secrets: no (serving the old certificate until 2026-06-02T05:06:07.000Z)',
    ]);
  });

  it('of all that has expired while nobody was there starts from what the Secret holds', async () => {
    const { world } = await established();
    world.nowMs += 11 * 365 * DAY_MS;
    const replica = world.replica();
    await replica.live(3 * SETTLE_MS);
    expect(trusts(world, replica)).toBe(true);
  });

  it('of an expired authority goes on where the caBundle is out of our hands', async () => {
    const { world } = await established();
    world.nowMs += 11 * 365 * DAY_MS;
    world.api.fault = refused('patch', 'validatingwebhookconfigurations');
    const replica = world.replica();
    await replica.live(3 * SETTLE_MS);
    expect(replica.serves?.validToDate.getTime()).toBeGreaterThan(world.nowMs);
    expect(
      isValidFor(
        replica.serves ?? new X509Certificate(''),
        world.stored['ca.crt'] ?? '',
        world.nowMs,
      ),
    ).toBe(true);
  });
});

describe('clocks', () => {
  it('set back do not make for another certificate', async () => {
    const { world, replica } = await established();
    world.api.calls.length = 0;
    replica.aheadMs = -30 * 60_000;
    await replica.live(60_000);
    expect(writes(world)).toStrictEqual([]);
  });

  it.each([-2 * 365, -40, 40, 70, 100, 2 * 365, 11 * 365])(
    'of a replica that are %i days wrong harm nobody, and do not renew without end',
    async (days) => {
      const { world, replica } = await established();
      const wrong = world.replica({ aheadMs: days * DAY_MS });
      for (let time = 0; time < 30; time += 1) {
        world.api.calls.length = 0;
        await wrong.look();
        await replica.look();
        expect(trusts(world, replica)).toBe(true);
        expect(wrong.serves === null || trusts(world, wrong)).toBe(true);
        world.nowMs += POLL_MS;
      }
      expect(writes(world)).toStrictEqual([]);
    },
  );

  it('that were wrong at the first start are put right without a new start', async () => {
    const world = new World(OURS);
    const replica = world.replica({ aheadMs: 3 * 365 * DAY_MS });
    await replica.live(SETTLE_MS);
    expect(trusts(world, replica)).toBe(false);
    replica.aheadMs = 0;
    await replica.live(3 * SETTLE_MS);
    expect(trusts(world, replica)).toBe(true);
    world.api.calls.length = 0;
    await replica.live(60_000);
    expect(writes(world)).toStrictEqual([]);
  });
});

describe('the Secret', () => {
  it('deleted is put back as it was', async () => {
    const { world, replica } = await established();
    const before = world.stored;
    world.api.remove(SECRET, PLACE.secret);
    await replica.look();
    expect(world.stored).toStrictEqual(before);
    expect(replica.served).toHaveLength(1);
    expect(replica.messages()).toStrictEqual([
      'put the certificate that is served back into the Secret',
    ]);
  });

  it('deleted with all replicas gone: nobody serves what is not trusted yet', async () => {
    const { world } = await established();
    world.api.remove(SECRET, PLACE.secret);
    const replica = world.replica();
    await replica.look();
    expect(replica.served).toStrictEqual([]);
    expect(certificates(world.bundles[0] ?? '')).toHaveLength(2);
    await replica.live(2 * SETTLE_MS);
    expect(trusts(world, replica)).toBe(true);
  });

  it.each([
    [
      'nothing that it should',
      { 'ca.crt': 'rubbish', 'ca.key': 'rubbish', 'tls.crt': '', 'tls.key': 'x' },
    ],
    [
      'not even text',
      {
        'ca.crt': '\0\x01\x02',
        'tls.crt': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----',
      },
    ],
  ])('of ours that holds %s is replaced by what is served', async (_, data) => {
    const { world, replica } = await established();
    const before = world.stored;
    world.api.put(secret(data));
    await replica.look();
    expect(world.stored).toStrictEqual(before);
    expect(replica.unusable).toBe(1);
    expect(replica.complaints()[0]).toContain('ca.crt is not only PEM certificates');
    expect(trusts(world, replica)).toBe(true);
  });

  it('of ours that holds rubbish at the start is replaced', async () => {
    const world = new World(OURS);
    world.api.put(secret({ 'ca.crt': 'rubbish', other: 'kept' }));
    const replica = world.replica();
    await replica.look();
    expect(trusts(world, replica)).toBe(true);
    expect(world.stored['other']).toBe('kept');
  });

  it('with a key that does not match its certificate gets a new pair, and the old one is served until then', async () => {
    const { world, replica } = await established();
    const other = await handmade(DAY_MS, world.nowMs);
    world.api.put(secret({ ...world.stored, 'tls.key': other['tls.key'] }));
    await replica.look();
    expect(replica.complaints()).toStrictEqual([
      'Secret etcd-guard/etcd-guard-tls: the key in tls.key does not belong to the certificate in tls.crt',
    ]);
    expect(replica.served).toHaveLength(2);
    expect(trusts(world, replica)).toBe(true);
  });

  it('with a wrong key for its authority gets a new authority', async () => {
    const { world, replica } = await established();
    const other = await handmade(DAY_MS, world.nowMs);
    world.api.put(secret({ ...world.stored, 'ca.key': other['ca.key'] }));
    await replica.live(2 * SETTLE_MS);
    expect(certificates(world.stored['ca.crt'] ?? '')).toHaveLength(2);
    expect(replica.served).toHaveLength(2);
    expect(trusts(world, replica)).toBe(true);
  });

  it('of somebody else is not touched, whatever it holds', async () => {
    const world = new World(OURS);
    const data = await handmade(DAY_MS, world.nowMs);
    world.api.put(secret(data, {}));
    const replica = world.replica();
    await replica.look();
    await replica.look();
    expect(world.stored).toStrictEqual(data);
    expect(replica.served).toStrictEqual([]);
    expect(replica.complaints()).toStrictEqual([
      "Secret etcd-guard/etcd-guard-tls is not etcd-guard's: delete it, or label it app.kubernetes.io/managed-by=etcd-guard to have it replaced, or name another with --certificate-secret",
    ]);
    expect(replica.unusable).toBe(1);
  });

  it('that becomes somebody else’s while we serve leaves us serving, and trusted', async () => {
    const { world, replica } = await established();
    world.api.put(secret({}, {}));
    world.putBundles('');
    await replica.look();
    expect(trusts(world, replica)).toBe(true);
    expect(world.stored).toStrictEqual({});
  });

  it('with another authority in it is taken over without a moment that nobody trusts', async () => {
    const { world, replica } = await established();
    const second = world.replica();
    await second.look();
    world.api.put(secret(await handmade(3_600_000, world.nowMs)));
    for (let time = 0; time < 20; time += 1) {
      await replica.look();
      expect(trusts(world, replica)).toBe(true);
      expect(trusts(world, second)).toBe(true);
      await second.look();
      world.nowMs += POLL_MS;
    }
    // Its authority lasts a day, so that it is renewed too.
    expect(replica.serves?.validToDate.getTime()).toBeGreaterThan(world.nowMs + 80 * DAY_MS);
    expect(second.served.at(-1)).toStrictEqual(replica.served.at(-1));
    expect(certificates(world.stored['ca.crt'] ?? '')[0]?.subject).toMatch(/^CN=etcd-guard CA /);
  });

  it('that is reverted again and again is not fought over without end', async () => {
    const { world, replica } = await established();
    world.nowMs += 61 * DAY_MS;
    const reverted = secret(world.stored);
    world.api.calls.length = 0;
    for (let time = 0; time < 240; time += 1) {
      world.api.put(reverted);
      await replica.look();
      world.nowMs += POLL_MS;
    }
    expect(writes(world).length).toBeLessThan(20);
    expect(trusts(world, replica)).toBe(true);
  });
});
