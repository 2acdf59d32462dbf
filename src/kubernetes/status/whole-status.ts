import type { ClusterView } from '../../decision/cluster-view.ts';
import type { Answer } from '../../decision/situation.ts';
import {
  clusterStatus,
  unaskedStatus,
  withAcceptance,
  type Acceptance,
  type ClusterStatus,
} from '../../guards/guard-status.ts';
import type { KubernetesObject } from '../api/api.ts';
import type { Look } from '../guards/cluster-reader.ts';
import { shownIn } from '../guards/guard-resource.ts';
import { selectorText } from '../guards/selector-text.ts';
import { withLastKnown } from './last-known.ts';

/** All that a guard's status is made of. */
export interface Parts {
  readonly object: KubernetesObject;
  readonly look: Look;
  /** null: etcd was not asked. */
  readonly seen: {
    readonly view: ClusterView;
    readonly answers: ReadonlyMap<string, Answer>;
  } | null;
  readonly accepted: Acceptance;
  /** RFC 3339. */
  readonly now: string;
}

/** The status as it is written to the object and shown elsewhere, every change of a condition being of now. */
export function wholeStatus({ object, look, seen, accepted, now }: Parts): ClusterStatus {
  const { cluster, reading } = look;
  const { pods, fault = 'its pods are not known' } = cluster;
  const selector = reading === null ? null : selectorText(reading.guard.spec.selector);
  const status =
    seen === null
      ? unaskedStatus(fault, now)
      : clusterStatus(seen.view, now, { pods, answers: seen.answers, selector });
  const known = withLastKnown(status, {
    before: shownIn(object),
    generation: object.metadata.generation ?? 0,
    pods: reading === null ? null : pods.map(({ name }) => name),
  });
  return withAcceptance(known, accepted, now);
}
