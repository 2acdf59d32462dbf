import type { Condition } from '../../guards/guard-status.ts';
import { matchesLabels } from '../../guards/label-selector.ts';
import type { KubernetesObject } from '../api/api.ts';
import { invalidGuard, type ClusterReading } from '../guards/cluster-reader.ts';
import { decodeGuard } from '../guards/guard-resource.ts';
import type { KnownGuard } from './watched-guards.ts';

/** A guard, what was read of it, and the other guards of its namespace. */
export interface Applied {
  readonly object: KubernetesObject;
  /** null: it is not valid, or its pods can't be read. */
  readonly reading: ClusterReading | null;
  readonly others: readonly KnownGuard[];
}

type Acceptance = Pick<Condition, 'status' | 'reason' | 'message'>;

/** Whether the spec can do what it is for; what etcd says plays no part. */
export function acceptance({ object, reading, others }: Applied): Acceptance {
  const { guard, problems } = decodeGuard(object);
  if (guard === undefined) {
    const [first] = problems;
    const message = first === undefined ? 'it is not valid' : invalidGuard(object, first);
    return refused('Invalid', message);
  }
  if (reading === null) {
    return { status: 'Unknown', reason: 'PodsNotRead', message: "its pods can't be read" };
  }
  if (reading.live.length === 0) {
    return refused('NoPodSelected', 'spec.selector selects no pod of this namespace');
  }
  const rivals = rivalsFor(reading, others);
  if (rivals.length > 0) {
    const names = rivals.map(({ name }) => name).join(', ');
    return refused(
      'OverlapsAnotherGuard',
      `some of its pods are selected by ${names} too, so that their deletion is refused`,
    );
  }
  if (guard.ignored.length > 0) {
    const fields = guard.ignored.join(', ');
    const message = `this version of etcd-guard knows nothing of ${fields} and goes without`;
    return { status: 'True', reason: 'FieldsIgnored', message };
  }
  return { status: 'True', reason: 'Accepted', message: `guards ${reading.live.length} pods` };
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
