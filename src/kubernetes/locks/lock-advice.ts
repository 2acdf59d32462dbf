import type { Json } from '../../admission/json.ts';
import { recordOf, stringOf } from '../../admission/json.ts';
import { isInForce } from '../../locks/judge.ts';
import { decodeLock, faultText } from './lock-resource.ts';

/** What to warn of whoever writes this ExclusiveLock; it is not refused for that. */
export function adviceOn(object: Json, nowMs: number): readonly string[] {
  const metadata = recordOf(object['metadata']);
  const { lock, problems } = decodeLock({
    ...object,
    metadata: {
      ...metadata,
      name: stringOf(metadata['name']),
      namespace: stringOf(metadata['namespace']),
      uid: '',
      resourceVersion: '',
    },
  });
  const so =
    lock === null ? 'so the lock holds nothing' : 'so the lock holds as far as it can be read';
  const faults = problems.map((fault) => `${faultText(fault)}; ${so}`);
  if (lock === null || isInForce(lock, nowMs)) return faults;
  return [...faults, 'spec.until is past: the lock is as if it were not there'];
}
