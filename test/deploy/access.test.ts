import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { accessOfComponent } from './component.ts';

describe('the component client-certificate', () => {
  const { args, mounts } = accessOfComponent('client-certificate');

  test('asks for a name of a certificate of the mounted authority, by arguments that there are', () => {
    expect(parseConfig(args)).toMatchObject({
      command: 'serve',
      guards: { kind: 'cluster' },
      clients: {
        caFile: '/etc/etcd-guard/client-ca/ca.crt',
        names: ['kube-apiserver-webhooks'],
      },
    });
    expect(mounts).toEqual(
      new Map([['/etc/etcd-guard/client-ca', 'configmap etcd-guard-client-ca']]),
    );
  });
});

describe('the component metrics-auth', () => {
  const { args, mounts, operations } = accessOfComponent('metrics-auth');

  test('serves the metrics port by TLS and with a token, by arguments that there are', () => {
    const config = parseConfig(args);
    expect(config).toMatchObject({
      command: 'serve',
      guards: { kind: 'cluster' },
      // Reviews have the guard's own certificate, as before.
      tls: null,
      metricsTls: {
        certFile: '/etc/etcd-guard/metrics-tls/tls.crt',
        keyFile: '/etc/etcd-guard/metrics-tls/tls.key',
      },
      metricsTokenFile: '/etc/etcd-guard/metrics-token/token',
    });
    expect(mounts).toEqual(
      new Map([
        ['/etc/etcd-guard/metrics-tls', 'secret etcd-guard-metrics-tls'],
        ['/etc/etcd-guard/metrics-token', 'secret etcd-guard-metrics-token'],
      ]),
    );
  });

  test('has both probes ask by TLS', () => {
    const probes = ['readinessProbe', 'livenessProbe'].map((probe) => ({
      op: 'add',
      path: `/spec/template/spec/containers/0/${probe}/httpGet/scheme`,
      value: 'HTTPS',
    }));
    expect(operations).toEqual(expect.arrayContaining(probes));
  });
});

test.each(['client-certificate', 'metrics-auth'])(
  '%s names no file that it does not mount',
  (name) => {
    const { args, mounts } = accessOfComponent(name);
    const files = args.flatMap((arg) => /=(\/etc\/.+)$/.exec(arg)?.[1] ?? []);
    expect(new Set(files.map((file) => dirname(file)))).toEqual(new Set(mounts.keys()));
  },
);
