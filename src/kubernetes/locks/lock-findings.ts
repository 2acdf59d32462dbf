import type { Fault } from '../../guards/faults.ts';
import type { Actor } from '../../locks/lock.ts';
import { faultText, type LockObject, type LockStatus } from './lock-resource.ts';
import type { NotHeld } from './lock-scope.ts';

/** What was found out about a lock. */
export interface LockFindings {
  readonly lock: LockObject;
  readonly nowMs: number;
  /** Why it holds less than it looks; null: it does not. */
  readonly notHeld: NotHeld | null;
  /** Resources that the API server does not serve, each with a hint in words or ''. */
  readonly unknown: ReadonlyMap<string, string>;
  /** Objects that it holds, of those that could be counted. */
  readonly matched: number;
  /** Resources that could not be counted, each with its reason. */
  readonly uncounted: ReadonlyMap<string, string>;
}

type Condition = NonNullable<LockStatus['conditions']>[number];
type Finding = Pick<Condition, 'status' | 'reason' | 'message'>;

/** The status to be written, but for what whoever refuses writes: denials and the last of them. */
export function lockStatusOf(findings: LockFindings): LockStatus {
  const { lock, nowMs, matched } = findings;
  const found: Readonly<Record<string, Finding>> = {
    Accepted: acceptance(findings),
    InForce: force(findings),
    Counted: counting(findings),
  };
  const { Accepted, InForce } = found;
  const wrong = [Accepted, InForce].find((one) => one?.status !== 'True');
  const { denials, lastDenied, conditions: before = [] } = lock.status;
  return {
    observedGeneration: lock.generation,
    ...(wrong !== undefined && { reason: wrong.reason }),
    matched,
    exclusive: exclusiveText(lock.lock?.exclusive ?? []),
    ...(denials !== undefined && { denials }),
    ...(lastDenied !== undefined && { lastDenied }),
    conditions: Object.entries(found).map(([type, finding]) => {
      const last = before.find((one) => one.type === type);
      const same = last?.status === finding.status;
      return {
        type,
        ...finding,
        observedGeneration: lock.generation,
        lastTransitionTime: same ? last.lastTransitionTime : new Date(nowMs).toISOString(),
      };
    }),
  };
}

/** As people see it in a column. */
export function exclusiveText(exclusive: readonly Actor[]): string {
  if (exclusive.length === 0) return 'nobody';
  return exclusive
    .map((actor) =>
      actor.kind === 'ServiceAccount'
        ? `ServiceAccount ${actor.namespace}/${actor.name}`
        : `${actor.kind} ${actor.name}`,
    )
    .join(', ');
}

function acceptance({ lock, unknown }: LockFindings): Finding {
  const [first] = lock.problems;
  if (first !== undefined) {
    const reason = isImpossible(first) ? 'ImpossibleSelector' : 'InvalidSpec';
    const so =
      lock.lock === null
        ? 'so the lock holds nothing'
        : 'so the lock holds as far as it can be read';
    return { status: 'False', reason, message: `${faultText(first)}; ${so}` };
  }
  if (unknown.size > 0) {
    const names = [...unknown].map(([name, hint]) => `${name}${hint}`).join(', ');
    return {
      status: 'False',
      reason: 'UnknownResource',
      message: `the API server serves no such resource in namespaces: ${names}`,
    };
  }
  return { status: 'True', reason: 'Accepted', message: 'the spec is valid' };
}

function isImpossible({ message }: Fault): boolean {
  return message.startsWith('no object can meet');
}

function force({ lock: { lock, terminating }, nowMs, notHeld }: LockFindings): Finding {
  if (lock === null) {
    return { status: 'False', reason: 'InvalidSpec', message: 'nobody can tell what it is about' };
  }
  if (terminating) {
    return { status: 'False', reason: 'Terminating', message: 'the lock is being deleted' };
  }
  const { untilMs, enforcement } = lock;
  if (untilMs !== null && nowMs >= untilMs) {
    const message = `it ended at ${new Date(untilMs).toISOString()}: delete it, or move spec.until`;
    return { status: 'False', reason: 'Expired', message };
  }
  if (notHeld !== null) return { status: 'False', ...notHeld };
  return enforcement === 'Warn'
    ? { status: 'True', reason: 'Warns', message: 'changes by others are allowed with a warning' }
    : { status: 'True', reason: 'Enforced', message: 'changes by others are refused' };
}

function counting({ uncounted }: LockFindings): Finding {
  if (uncounted.size === 0) {
    return { status: 'True', reason: 'Counted', message: 'matched counts all that the lock holds' };
  }
  const names = [...uncounted].map(([name, why]) => `${name} (${why})`).join(', ');
  const message = `matched leaves out ${names}; these are locked all the same`;
  return { status: 'False', reason: 'NotCounted', message };
}
