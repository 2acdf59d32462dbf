import { fileAcceptance } from '../../guards/file-rivals.ts';
import { clusterStatus, withAcceptance } from '../../guards/guard-status.ts';
import type { StatusConfig } from '../../config.ts';
import type { FileGuard, FileSource } from '../../guards/file-source.ts';
import { podStatus, type Shown, type StatusSource } from './shown.ts';
import { sentence } from '../cluster-error.ts';
import { judged } from '../finding.ts';
import { openGuards } from '../guards.ts';
import { judgePod, namedPod, subjectFor } from '../judge-pod.ts';
import { lookAt, notesOn } from '../look.ts';

/** Guards from files; throws a UsageError. */
export async function fileStatus(
  files: readonly string[],
  { name, namespace: wanted, allNamespaces }: StatusConfig,
): Promise<StatusSource> {
  const source = await openGuards(files);
  const namespace = allNamespaces ? null : (wanted ?? 'default');
  const chosen = source.guards.filter(
    ({ guard }) =>
      (namespace === null || guard.namespace === namespace) &&
      (name === null || guard.name === name),
  );
  return {
    namespace,
    look: (timeoutMs) => Promise.all(chosen.map((guard) => look(guard, source, timeoutMs))),
    close: () => source.close(),
  };
}

async function look(one: FileGuard, source: FileSource, timeoutMs?: number): Promise<Shown> {
  const { guard, loaded } = one;
  const cluster = one.clusterFor(null);
  const [seen, pods] = await Promise.all([
    lookAt(cluster, timeoutMs),
    Promise.all(
      cluster.pods.map(async ({ name }) => {
        const subject = subjectFor(namedPod(guard.namespace, name), 'delete');
        return podStatus(name, judged(await judgePod(subject, source, timeoutMs)));
      }),
    ),
  ]);
  const agreed = seen.view.list === 'agreed';
  const now = new Date().toISOString();
  const status = clusterStatus(seen.view, now, { pods: cluster.pods, answers: seen.answers });
  const acceptance = fileAcceptance(one, source.guards);
  const wrong = acceptance.status === 'True' ? [] : [sentence(acceptance.message)];
  return {
    title: `${guard.namespace}/${guard.name}`,
    item: {
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'EtcdGuard',
      metadata: { name: guard.name, namespace: guard.namespace },
      spec: loaded.document.spec,
      status: withAcceptance(status, acceptance, now),
      pods,
    },
    said: agreed ? null : seen.said,
    leaderless: seen.view.leader.kind === 'leaderless',
    notes: [...notesOn(seen), ...wrong],
    sure: agreed && pods.every(({ reason }) => reason !== 'Unverifiable'),
  };
}
