import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { z } from 'zod';
import type { KubeApiserver } from '../../test/harness/kube-apiserver.ts';

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url));
const RESOURCES = ['webhook/10-crd.yaml', 'webhook/20-rbac.yaml'];
/** For servers before 1.25. */
const WITHOUT_CEL = 'overlays/webhook/legacy/crd-without-cel.yaml';
const CEL_SINCE = 25;
const CRD = 'etcdguards.etcd-guard.io';

/** Whom the shipped ClusterRoleBinding names. */
const GUARD_USER = 'system:serviceaccount:etcd-guard:etcd-guard';

export interface Version {
  /** `1.31.2` */
  readonly text: string;
  readonly minor: number;
}

export async function versionOf({ admin }: KubeApiserver): Promise<Version> {
  const answer: unknown = JSON.parse(await admin.text('GET', '/version'));
  const { gitVersion } = z.object({ gitVersion: z.string() }).parse(answer);
  const text = gitVersion.replaceAll(/^v|-.*$/g, '');
  return { text, minor: Number(text.split('.')[1]) };
}

/**
 * Makes the custom resource and the rights that ship with the guard; the kubeconfig that it
 * returns gives those rights and no others.
 */
export async function install(api: KubeApiserver, directory: string): Promise<string> {
  const { minor } = await versionOf(api);
  const patch = {
    path: basename(WITHOUT_CEL),
    target: {
      group: 'apiextensions.k8s.io',
      version: 'v1',
      kind: 'CustomResourceDefinition',
      name: CRD,
    },
  };
  const kustomization = {
    resources: RESOURCES.map((file) => basename(file)),
    ...(minor < CEL_SINCE && { patchesJson6902: [patch] }),
  };
  const folder = join(directory, 'install');
  await mkdir(folder);
  for (const file of [...RESOURCES, WITHOUT_CEL]) {
    await copyFile(join(DEPLOY, file), join(folder, basename(file)));
  }
  await writeFile(join(folder, 'kustomization.yaml'), stringify(kustomization));
  await kubectl(api, 'apply', '-k', folder);
  await kubectl(api, 'wait', '--for=condition=Established', `crd/${CRD}`, '--timeout=20s');
  return api.kubeconfigFor({ user: GUARD_USER });
}

async function kubectl(api: KubeApiserver, ...args: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await api.kubectl(...args);
  if (exitCode !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
}
