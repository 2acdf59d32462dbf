import { asRecord, listOf, recordOf, stringsOf, type Json } from '../admission/json.ts';
import { filesPart } from './files.ts';
import { IN_SYNC, INJECTED_LABEL, type Injection } from './injection.ts';
import { append, NO_PART, setKey, type Operation, type Part } from './operation.ts';

/** What is to be changed in a pod; the warnings say what was left as it was. */
export interface Injected {
  readonly operations: readonly Operation[];
  readonly warnings: readonly string[];
}

/** The API server's default, where a pod says nothing. */
const DEFAULT_GRACE_SECONDS = 30;

/**
 * Gives a pod that is about to be made what the injection names; pure, and empty for a pod that has it
 * already. Never throws, whatever the pod is.
 */
export function inject(pod: Json, injection: Injection): Injected {
  const metadata = asRecord(pod['metadata']);
  const spec = asRecord(pod['spec']);
  if (metadata === null || spec === null) return { operations: [], warnings: [] };
  const before = stringsOf(metadata['labels'])[INJECTED_LABEL] === 'true';
  const parts = [
    filesPart(spec, injection.files),
    gatePart(spec, injection.readinessGate, before),
    gracePart(spec, injection.terminationGracePeriodSeconds),
  ];
  const label = parts.some(({ holds }) => holds)
    ? setKey(metadata, '/metadata/labels', { key: INJECTED_LABEL, value: 'true' })
    : [];
  return {
    operations: [...parts.flatMap(({ operations }) => operations), ...label],
    warnings: parts.flatMap(({ warnings }) => warnings),
  };
}

/** `before`: it may be ours, since the pod was given something already. */
function gatePart(spec: Json, wanted: boolean, before: boolean): Part {
  if (!wanted) return NO_PART;
  const gates = listOf(spec['readinessGates']).map(recordOf);
  if (gates.some((gate) => gate['conditionType'] === IN_SYNC)) {
    const warnings = before ? [] : [`the pod already has the readiness gate ${IN_SYNC}`];
    return { operations: [], warnings, holds: true };
  }
  const operations = append(spec, '/spec/readinessGates', [{ conditionType: IN_SYNC }]);
  return { operations, warnings: [], holds: operations.length > 0 };
}

function gracePart(spec: Json, floor: number | null): Part {
  if (floor === null) return NO_PART;
  const given = spec['terminationGracePeriodSeconds'] ?? DEFAULT_GRACE_SECONDS;
  if (typeof given !== 'number') return NO_PART;
  const raise: Operation = { op: 'add', path: '/spec/terminationGracePeriodSeconds', value: floor };
  return { operations: given < floor ? [raise] : [], warnings: [], holds: true };
}
