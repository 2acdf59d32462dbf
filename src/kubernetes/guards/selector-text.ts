import type { LabelRequirement, LabelSelector } from '../../guards/label-selector.ts';

/** What no pod has, for a selector that no pod can meet. */
const NOBODY = 'etcd-guard.io/none,!etcd-guard.io/none';

const NAME = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$/;
const PREFIX = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/**
 * A metav1.LabelSelector in the text form that lists and watches take, of the same sense. Keys and
 * values that no label can have would make the API server refuse the text, or read a comma in it as
 * another value: what they mean for a pod is known without asking.
 */
export function selectorText({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const equal = Object.entries(matchLabels).map(([key, value]) =>
    isKey(key) && isValue(value) ? `${key}=${value}` : NOBODY,
  );
  const parts = [...equal, ...matchExpressions.map(requirementText)];
  return parts.filter((part) => part !== '').join(',');
}

/** Empty if every pod meets it. */
function requirementText({ key, operator, values = [] }: LabelRequirement): string {
  const possible = values.filter(isValue);
  const takesValues = operator === 'In' || operator === 'NotIn';
  if (isKey(key) && (!takesValues || possible.length > 0)) {
    if (takesValues) return `${key} ${operator.toLowerCase()} (${possible.join(',')})`;
    return operator === 'Exists' ? key : `!${key}`;
  }
  return operator === 'In' || operator === 'Exists' ? NOBODY : '';
}

function isKey(key: string): boolean {
  const [first = '', second, ...more] = key.split('/');
  if (second === undefined) return NAME.test(first);
  return more.length === 0 && first.length <= 253 && PREFIX.test(first) && NAME.test(second);
}

function isValue(value: string): boolean {
  return value === '' || NAME.test(value);
}
