import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { DEPLOY, objectsIn, only, renderTogether, type Manifest } from '../deploy/manifests.ts';
import { workload } from '../deploy/pods.ts';
import { faultsOf } from '../deploy/schemas.ts';
import { currentKubectl } from '../harness/current-kubectl.ts';

const kubectl = await currentKubectl();
const COMPONENTS = ['monitoring', 'client-certificate', 'metrics-auth'];

function rendered(base: string, components: readonly string[]): Promise<readonly Manifest[]> {
  const paths = components.map((name) => `webhook/components/${name}`);
  return renderTogether(kubectl, [base], paths);
}

/** Every mount has its volume, and every volume is mounted. */
function volumesOf(objects: readonly Manifest[]): readonly string[] {
  const { pod, container } = workload(only(objects, 'Deployment'));
  const volumes = pod.volumes.map(({ name }) => name).toSorted();
  expect(container.volumeMounts.map(({ name }) => name).toSorted()).toEqual(volumes);
  return volumes;
}

describe('the components client-certificate and metrics-auth, rendered', () => {
  it.each([
    ['webhook', COMPONENTS],
    ['webhook', [...COMPONENTS].toReversed()],
    ['webhook', [...COMPONENTS, 'host-network', 'role-floor', 'injection', 'exclusive-locks']],
    ['overlays/webhook/legacy', COMPONENTS],
  ])('go together on %s with %j', async (base, components) => {
    const objects = await rendered(base, components);
    expect(volumesOf(objects)).toEqual(['client-ca', 'metrics-tls', 'metrics-token']);
    const { container } = workload(only(objects, 'Deployment'));
    expect(parseConfig(container.args)).toMatchObject({
      command: 'serve',
      clients: { caFile: '/etc/etcd-guard/client-ca/ca.crt' },
      metricsTls: { certFile: '/etc/etcd-guard/metrics-tls/tls.crt' },
      metricsTokenFile: '/etc/etcd-guard/metrics-token/token',
    });
  });

  it('leave the certificate of cert-manager where it is', async () => {
    const objects = await rendered('overlays/webhook/cert-manager', COMPONENTS);
    expect(volumesOf(objects)).toEqual(['client-ca', 'metrics-tls', 'metrics-token', 'tls']);
    const { container } = workload(only(objects, 'Deployment'));
    expect(parseConfig(container.args)).toMatchObject({
      tls: { certFile: '/etc/etcd-guard/tls/tls.crt' },
      metricsTls: { certFile: '/etc/etcd-guard/metrics-tls/tls.crt' },
    });
  });

  it('have no field that there is not', async () => {
    const objects = await rendered('webhook', COMPONENTS);
    const definitions = objectsIn(readFileSync(join(DEPLOY, 'webhook/10-crd.yaml'), 'utf8'));
    const faults = await faultsOf(objects, definitions);
    expect([...faults].map(([index, why]) => [objects[index]?.kind, why])).toEqual([]);
    expect(JSON.stringify(only(objects, 'Deployment')).match(/"scheme":"HTTPS"/g)).toHaveLength(2);
  });

  it('tell the PodMonitor that stands before metrics-auth of TLS and the token', async () => {
    const plain = only(await rendered('webhook', ['monitoring']), 'PodMonitor');
    const secured = only(await rendered('webhook', COMPONENTS), 'PodMonitor');
    const endpoints = plain.spec?.['podMetricsEndpoints'];
    expect(secured).toEqual({
      ...plain,
      spec: {
        ...plain.spec,
        podMetricsEndpoints: [
          {
            ...(Array.isArray(endpoints) ? endpoints[0] : {}),
            scheme: 'https',
            tlsConfig: {
              serverName: 'etcd-guard.etcd-guard.svc',
              ca: { secret: { name: 'etcd-guard-metrics-tls', key: 'ca.crt' } },
            },
            authorization: { credentials: { name: 'etcd-guard-metrics-token', key: 'token' } },
          },
        ],
      },
    });
  });
});
