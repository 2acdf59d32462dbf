import { describe, expect, test } from 'vitest';
import type { CertificatePlace } from '../../src/certificates/keeper.ts';
import { ApiError } from '../../src/kubernetes/api/api.ts';
import {
  bundlesOf,
  CONFIGURATION,
  configuration,
  OUR_SERVICE,
  OURS,
  PLACE,
  POLL_MS,
  SETTLE_MS,
  webhook,
  World,
} from './world.ts';

const LOCKS = 'etcd-guard-locks';
const place: Partial<CertificatePlace> = {
  others: [
    { kind: 'ValidatingWebhookConfiguration', name: LOCKS, without: 'no lock is asked about' },
  ],
};
const OF_LOCKS = {
  ...configuration(
    webhook('locks.etcd-guard.io', OUR_SERVICE),
    webhook('status.locks.etcd-guard.io', OUR_SERVICE),
  ),
  metadata: { name: LOCKS },
};
const MISSING = `there is no ValidatingWebhookConfiguration ${LOCKS}: no lock is asked about until there is`;

describe('a second webhook configuration', () => {
  test('comes to trust the same as the first', async () => {
    const world = new World(OURS, OF_LOCKS);
    await world.replica({ place }).live(SETTLE_MS);
    const [bundle = ''] = world.bundles;
    expect(bundle).toContain('BEGIN CERTIFICATE');
    expect(bundlesOf(world.api.find(CONFIGURATION, LOCKS))).toEqual([bundle, bundle]);
  });

  test('that comes later gets the caBundle at the next look', async () => {
    const world = new World(OURS);
    const replica = world.replica({ place });
    await replica.live(SETTLE_MS);
    expect(replica.complaints()).toEqual([MISSING]);
    world.api.put(OF_LOCKS);
    await replica.live(POLL_MS);
    const [bundle] = world.bundles;
    expect(bundlesOf(world.api.find(CONFIGURATION, LOCKS))).toEqual([bundle, bundle]);
    expect(replica.served).toHaveLength(1);
  });

  test('is looked after while the first is away', async () => {
    const world = new World(OF_LOCKS);
    const replica = world.replica({ place });
    await replica.live(SETTLE_MS);
    const [bundle = ''] = bundlesOf(world.api.find(CONFIGURATION, LOCKS));
    expect(bundle).toContain('BEGIN CERTIFICATE');
    expect(replica.served).toHaveLength(1);
  });

  test('that may not be written does not keep the first from being served', async () => {
    const world = new World(OURS, OF_LOCKS);
    world.api.fault = ({ verb, name }) =>
      verb === 'patch' && name === LOCKS ? new ApiError('forbidden', 'not allowed') : null;
    const replica = world.replica({ place });
    await replica.live(2 * SETTLE_MS);
    expect(replica.served).toHaveLength(1);
    expect(replica.complaints()).toContain('not allowed');
    expect(world.bundles[0]).toContain('BEGIN CERTIFICATE');
    expect(bundlesOf(world.api.find(CONFIGURATION, LOCKS))).toEqual(['', '']);
  });

  test('is not asked for where nothing names it', async () => {
    const world = new World(OURS, OF_LOCKS);
    await world.replica().live(SETTLE_MS);
    expect(world.api.calls.filter(({ name }) => name === LOCKS)).toEqual([]);
    expect(PLACE.others).toBeUndefined();
  });
});
