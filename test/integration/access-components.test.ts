import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { accessOfComponent, monitorOperations } from '../deploy/component.ts';
import { ROOT } from '../deploy/manifests.ts';
import {
  deleteReview,
  guardFile,
  startGuard,
  type GuardProcess,
} from '../harness/guard-process.ts';
import { startPrometheus } from '../harness/prometheus.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { requireBinary } from '../harness/require-binary.ts';

const GUARDS = guardFile({
  apiVersion: 'etcd-guard.io/v1alpha1',
  kind: 'EtcdGuard',
  metadata: { name: 'etcd', namespace: 'default' },
  spec: { members: { addresses: { 'etcd-0': '127.0.0.1:1' } } },
});

/** Writes down what it is asked, a line for each time. */
const KUBECTL = '#!/bin/sh\necho "$*" >>"$KUBECTL_ASKED"\n';

/** The blocks of shell commands in docs/security.md, without what indents them. */
const BLOCKS = [
  ...readFileSync(join(ROOT, 'docs/security.md'), 'utf8').matchAll(
    /^(?<indent> *)```sh\n(?<commands>[\s\S]*?)^ *```$/gm,
  ),
].map(({ groups }) =>
  (groups?.['commands'] ?? '').replaceAll(new RegExp(`^${groups?.['indent']}`, 'gm'), ''),
);

interface Answer {
  readonly status: number | undefined;
  readonly body: string;
}

async function ask(
  url: string,
  options: Readonly<Record<string, unknown>>,
  body?: unknown,
): Promise<Answer> {
  const sent = request(url, {
    agent: false,
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'content-type': 'application/json' },
    ...options,
  });
  sent.end(body === undefined ? undefined : JSON.stringify(body));
  const [response]: unknown[] = await once(sent, 'response');
  if (!(response instanceof IncomingMessage)) throw new Error('no response');
  return { status: response.statusCode, body: await text(response) };
}

describe('docs/security.md and its components', () => {
  let directory: TemporaryDirectory;
  let guard: GuardProcess;
  let mounted: (path: string) => string;

  /** The commands run, and what they make put where the component mounts it. */
  beforeAll(async () => {
    directory = await temporaryDirectory('access');
    requireBinary('openssl');
    const made = join(directory.path, 'made');
    mkdirSync(made);
    const asked = join(directory.path, 'asked');
    await writeFile(join(directory.path, 'kubectl'), KUBECTL);
    await chmod(join(directory.path, 'kubectl'), 0o755);
    for (const commands of BLOCKS) {
      await execa('sh', ['-euc', commands], {
        cwd: made,
        env: { PATH: `${directory.path}:${process.env['PATH']}`, KUBECTL_ASKED: asked },
      });
    }
    mounted = (path) => join(directory.path, 'root', path);
    const components = ['client-certificate', 'metrics-auth'].map(accessOfComponent);
    for (const { mounts } of components) {
      for (const [path, object] of mounts) {
        mkdirSync(mounted(path), { recursive: true });
        for (const [key, file] of filesOf(readFileSync(asked, 'utf8'), object))
          copyFileSync(join(made, file), join(mounted(path), key));
      }
    }
    const args = components.flatMap((component) => component.args);
    guard = await startGuard({
      program: inject('program'),
      guards: GUARDS,
      args: args
        .filter((arg) => arg.includes('=/etc/') || arg.startsWith('--client-name='))
        .map((arg) => arg.replace(/=(\/etc\/.*)$/, (_all, path: string) => `=${mounted(path)}`)),
    });
  });
  afterAll(async () => {
    await guard?.stop();
    await directory?.remove();
  });

  const made = (name: string): string => readFileSync(join(directory.path, 'made', name), 'utf8');

  it('have the caller with webhooks.crt heard, and nobody else', async () => {
    const url = `https://${guard.https}/validate?timeout=5s`;
    const certificate = { cert: made('webhooks.crt'), key: made('webhooks.key') };
    const review = deleteReview('etcd-0');
    const heard = await ask(url, { ca: guard.ca, ...certificate }, review);
    expect(heard.status).toBe(200);
    expect(JSON.parse(heard.body)).toMatchObject({ response: { allowed: false } });
    expect((await ask(url, { ca: guard.ca }, review)).status).toBe(401);
    // The authority's own certificate is trusted, but has another name.
    const authority = { cert: made('ca.crt'), key: made('ca.key') };
    expect((await ask(url, { ca: guard.ca, ...authority }, review)).status).toBe(403);
  });

  it('have probes answered without a token, by TLS, and metrics not', async () => {
    const base = guard.url.replace('http:', 'https:');
    const trusting = { ca: made('tls.crt'), servername: 'etcd-guard.etcd-guard.svc' };
    expect(await ask(`${base}/readyz`, trusting)).toEqual({ status: 200, body: 'ok\n' });
    expect(await ask(`${base}/healthz`, trusting)).toEqual({ status: 200, body: 'ok\n' });
    expect((await ask(`${base}/metrics`, trusting)).status).toBe(401);
    await expect(fetch(`${guard.url}/healthz`)).rejects.toThrow('fetch failed');
  });

  it('have a Prometheus that is told what the PodMonitor is told scrape it, and no other', async () => {
    const { tlsConfig, scheme, authorization } = monitorSettings();
    const static_configs = [{ targets: [guard.url.slice('http://'.length)] }];
    const tls_config = {
      server_name: tlsConfig.serverName,
      ca_file: mounted(pathOf(tlsConfig.ca.secret)),
    };
    const prometheus = await startPrometheus({
      scrapeConfigs: [
        {
          job_name: 'etcd-guard',
          scheme,
          tls_config,
          authorization: { credentials_file: mounted(pathOf(authorization.credentials)) },
          static_configs,
        },
        { job_name: 'stranger', scheme, tls_config, static_configs },
        { job_name: 'by-http', static_configs },
      ],
    });
    try {
      await prometheus.waitFor('up', (samples) => samples.length === 3);
      await prometheus.waitFor('etcdguard_ready == 1');
      const up = await prometheus.query('up');
      expect(Object.fromEntries(up.map(({ labels, value }) => [labels['job'], value]))).toEqual({
        'etcd-guard': 1,
        stranger: 0,
        'by-http': 0,
      });
    } finally {
      await prometheus.stop();
    }
  });
});

/** By key, the files that the one command which makes this object takes; throws if there is none. */
function filesOf(asked: string, object: string): ReadonlyMap<string, string> {
  const [kind = '', name = ''] = object.split(' ');
  const type = kind === 'secret' ? 'secret generic' : kind;
  const command = `-n etcd-guard create ${type} ${name} `;
  const [line, ...more] = asked.split('\n').filter((one) => one.startsWith(command));
  if (line === undefined || more.length > 0) throw new Error(`no one command makes ${object}`);
  const words = line.slice(command.length).split(' ');
  return new Map(
    words.map((word) => {
      const [, key = '', file = key] = /^--from-file=([^=]+)(?:=(.+))?$/.exec(word) ?? [];
      if (key === '') throw new Error(`${word} is no file`);
      return [key, file];
    }),
  );
}

const secretSchema = z.object({ name: z.string(), key: z.string() });
const settingsSchema = z.object({
  scheme: z.string(),
  tlsConfig: z.object({ serverName: z.string(), ca: z.object({ secret: secretSchema }) }),
  authorization: z.object({ credentials: secretSchema }),
});
const operationSchema = z.object({ op: z.literal('add'), path: z.string(), value: z.unknown() });

function monitorSettings(): z.infer<typeof settingsSchema> {
  const operations = monitorOperations('metrics-auth').map((one) => operationSchema.parse(one));
  return settingsSchema.parse(
    Object.fromEntries(operations.map(({ path, value }) => [path.split('/').at(-1), value])),
  );
}

/** Where metrics-auth mounts this key of a Secret. */
function pathOf({ name, key }: z.infer<typeof secretSchema>): string {
  const { mounts } = accessOfComponent('metrics-auth');
  const [path] = [...mounts].find(([, source]) => source === `secret ${name}`) ?? [];
  if (path === undefined) throw new Error(`${name} is not mounted`);
  return join(path, key);
}
