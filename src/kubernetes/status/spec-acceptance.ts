import {
  accepted,
  nothingSelected,
  overlapping,
  type Acceptance,
} from '../../guards/guard-status.ts';
import { matchesLabels } from '../../guards/label-selector.ts';
import type { KubernetesObject } from '../api/api.ts';
import { invalidGuard, type ClusterReading } from '../guards/cluster-reader.ts';
import { decodeGuard } from '../guards/guard-resource.ts';
import type { Unprotected } from '../guards/protection.ts';
import { selectorText } from '../guards/selector-text.ts';
import type { KnownGuard } from './watched-guards.ts';

/** A guard, what was read of it, and what stands around it. */
export interface Applied {
  readonly object: KubernetesObject;
  /** null: it is not valid, or its pods can't be read. */
  readonly reading: ClusterReading | null;
  /** The other guards of its namespace. */
  readonly others: readonly KnownGuard[];
  /** Why nobody is asked about deletions in its namespace; null: the webhook is, or it is not known. */
  readonly unprotected: Unprotected | null;
}

/** Whether the spec can do what it is for; what etcd says plays no part. */
export function acceptance(applied: Applied): Acceptance {
  const { object, reading, unprotected } = applied;
  const { guard, problems } = decodeGuard(object);
  if (guard === undefined) {
    const [first] = problems;
    const message = first === undefined ? 'it is not valid' : invalidGuard(object, first);
    return refused('Invalid', message);
  }
  if (unprotected !== null) {
    return { ...refused(unprotected.reason, unprotected.message), protectsNothing: true };
  }
  if (reading === null) {
    return { status: 'Unknown', reason: 'PodsNotRead', message: "its pods can't be read" };
  }
  if (reading.live.length === 0) {
    return refused('NoPodSelected', nothingSelected(selectorText(guard.spec.selector)));
  }
  const overlap = overlapping(rivalsFor(reading, applied.others).map(({ name }) => name));
  if (overlap !== null) return overlap;
  if (guard.ignored.length > 0) {
    const fields = guard.ignored.join(', ');
    const message = `this version of etcd-guard knows nothing of ${fields} and goes without`;
    return { status: 'True', reason: 'FieldsIgnored', message };
  }
  return accepted(reading.live.length);
}

function refused(reason: string, message: string): Acceptance {
  return { status: 'False', reason, message };
}

function rivalsFor({ live }: ClusterReading, others: readonly KnownGuard[]): readonly KnownGuard[] {
  return others.filter(
    ({ selector }) =>
      selector !== null && live.some(({ snapshot }) => matchesLabels(selector, snapshot.labels)),
  );
}
