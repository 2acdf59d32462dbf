import type { CheckConfig } from '../../config.ts';
import type { Operation } from '../../decision/situation.ts';
import { judged, type Finding } from '../finding.ts';
import { openGuards } from '../guards.ts';
import { judgePod, namedPod, subjectFor } from '../judge-pod.ts';
import type { Surroundings } from '../streams.ts';
import { ofUnnamedPod } from './unnamed-pod.ts';

/** One dry run. */
export interface Question {
  readonly pod: string;
  readonly operation: Operation;
  /** Where something may be said besides the answer. */
  readonly note: (text: string) => void;
}

/** An answer, and the namespace that it was looked for in. */
export interface Checked {
  readonly namespace: string;
  /** null: there is no such pod. */
  readonly finding: Finding | null;
}

/** Whoever answers dry runs; connections are kept from one to the next. */
export interface Checks {
  ask(question: Question): Promise<Checked>;
  close(): void;
}

/** Throws a UsageError. */
export async function openChecks(
  config: Pick<CheckConfig, 'guards' | 'namespace' | 'via'>,
  { environment }: Surroundings,
): Promise<Checks> {
  const { guards } = config;
  // Loaded only where a cluster is used: client-node takes four tenths of a second.
  if (guards.kind === 'cluster') {
    return (await import('./check-in-cluster.ts')).checksInCluster(guards, config, environment);
  }
  const namespace = config.namespace ?? 'default';
  const source = await openGuards(guards.files);
  return {
    async ask({ pod, operation }) {
      const subject = subjectFor(namedPod(namespace, pod), operation);
      const finding = judged(await judgePod(subject, source));
      return { namespace, finding: ofUnnamedPod(finding, { name: pod, namespace }, source.guards) };
    },
    close: () => source.close(),
  };
}
