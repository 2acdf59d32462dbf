import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { stringify } from 'yaml';
import { PROTECTED, webhookConfiguration } from '../harness/admission-webhook.ts';
import { CertificateAuthority } from '../harness/certificates.ts';
import {
  deleteReview,
  guardFile,
  startGuard,
  type GuardProcess,
} from '../harness/guard-process.ts';
import { startKubeApiserver, type KubeApiserver } from '../harness/kube-apiserver.ts';
import { freePort } from '../harness/loopback.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { until } from '../harness/until.ts';

const PODS = '/api/v1/namespaces/default/pods';
const NAME = 'kube-apiserver-webhooks';
const GUARDS = guardFile({
  apiVersion: 'etcd-guard.io/v1alpha1',
  kind: 'EtcdGuard',
  metadata: { name: 'etcd', namespace: 'default' },
  spec: { members: { addresses: { 'etcd-0': '127.0.0.1:1' } } },
});

describe('an API server that presents a certificate', () => {
  let directory: TemporaryDirectory;
  let authority: CertificateAuthority;
  let kubernetes: KubeApiserver;
  let guard: GuardProcess;
  let caFile: string;

  /** As docs/security.md says: an AdmissionConfiguration, and in it a kubeconfig with a user for each webhook. */
  beforeAll(async () => {
    directory = await temporaryDirectory('client-certificate');
    authority = await CertificateAuthority.create('callers of webhooks');
    caFile = await authority.writeTo(directory.path);
    const port = await freePort();
    const { certFile, keyFile } = await authority.issueFiles(directory.path, 'apiserver', {
      commonName: NAME,
    });
    const user = { 'client-certificate': certFile, 'client-key': keyFile };
    const kubeConfigFile = await written('webhooks.kubeconfig', {
      apiVersion: 'v1',
      kind: 'Config',
      users: [{ name: `127.0.0.1:${port}`, user }],
    });
    const configuration = await written('admission.yaml', {
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'AdmissionConfiguration',
      plugins: [
        {
          name: 'ValidatingAdmissionWebhook',
          configuration: {
            apiVersion: 'apiserver.config.k8s.io/v1',
            kind: 'WebhookAdmissionConfiguration',
            kubeConfigFile,
          },
        },
      ],
    });
    [kubernetes, guard] = await Promise.all([
      startKubeApiserver({ args: [`--admission-control-config-file=${configuration}`] }),
      startGuard({
        program: inject('program'),
        guards: GUARDS,
        port,
        args: [`--client-ca=${caFile}`, `--client-name=${NAME}`],
      }),
    ]);
    const { admin } = kubernetes;
    await admin.request(
      'POST',
      '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
      webhookConfiguration(port, guard.ca),
    );
    const merge = { metadata: { labels: PROTECTED } };
    const namespace = await until('the namespace', () =>
      admin.request('GET', '/api/v1/namespaces/default'),
    );
    await admin.request('PUT', '/api/v1/namespaces/default', {
      ...namespace,
      metadata: { ...namespace.metadata, ...merge.metadata },
    });
    await until('the webhook is asked', async () => {
      await kubernetes.admin.request('POST', PODS, podOf('probe')).catch(() => undefined);
      const sentence = await refusalOf('etcd-0');
      return sentence.includes('denied the request');
    });
  });
  afterAll(async () => {
    await guard?.stop();
    await kubernetes?.stop();
    await directory?.remove();
  });

  async function written(name: string, content: unknown): Promise<string> {
    const path = join(directory.path, name);
    await writeFile(path, stringify(content));
    return path;
  }

  /** What deleting a pod of this name is answered with; it is made first. */
  async function refusalOf(name: string): Promise<string> {
    await kubernetes.admin.request('POST', PODS, podOf(name)).catch(() => undefined);
    try {
      await kubernetes.admin.delete(`${PODS}/${name}`, { gracePeriodSeconds: 0 });
      return 'deleted';
    } catch (error) {
      return String(error);
    }
  }

  test('is let in: what it asks is judged', async () => {
    expect(await refusalOf('web-0')).toBe('deleted');
    expect(await refusalOf('etcd-0')).toMatch(
      /admission webhook "pods\.etcd-guard\.io" denied the request: Can't tell whether/,
    );
  });

  test('whoever presents none is not, and is told so', async () => {
    expect(await guard.post(deleteReview('etcd-0'))).toEqual({
      status: 401,
      body: {
        error: 'no client certificate was presented, and this server wants one (--client-ca)',
      },
    });
  });

  test('probes do without', async () => {
    expect((await fetch(`${guard.url}/readyz`)).status).toBe(200);
    expect((await fetch(`${guard.url}/healthz`)).status).toBe(200);
  });

  test('is shut out once the authority is another, and let in again', async () => {
    const other = await CertificateAuthority.create('somebody else');
    await other.writeTo(directory.path, 'next.crt');
    await rename(join(directory.path, 'next.crt'), caFile);
    await guard.logged('the new authority of clients is in force');
    expect(await refusalOf('web-1')).toMatch(/failed calling webhook "pods\.etcd-guard\.io"/);
    await authority.writeTo(directory.path, 'next.crt');
    await rename(join(directory.path, 'next.crt'), caFile);
    await until('let in again', async () => (await refusalOf('web-1')) === 'deleted');
  });
});

function podOf(name: string): unknown {
  const containers = [{ name: 'etcd', image: 'etcd' }];
  return { metadata: { name }, spec: { containers, nodeName: 'node-1' } };
}
