/** metav1.LabelSelector; all of its requirements must hold. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>> | undefined;
  readonly matchExpressions?: readonly LabelRequirement[] | undefined;
}

/** One requirement of a selector; `values` is empty for Exists and DoesNotExist. */
export interface LabelRequirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values?: readonly string[] | undefined;
}

/** An empty selector matches everything, as in Kubernetes; NotIn also matches where the key is absent. */
export function matchesLabels(
  selector: LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  const equal = Object.entries(selector.matchLabels ?? {}).every(
    ([key, value]) => valueOf(labels, key) === value,
  );
  return equal && (selector.matchExpressions ?? []).every((r) => meets(r, valueOf(labels, r.key)));
}

function valueOf(labels: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

function meets({ operator, values = [] }: LabelRequirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

/** The requirements of a selector that these labels do not meet, its labels written as In. */
export function unmetBy(
  labels: Readonly<Record<string, string>>,
  selector: LabelSelector,
): readonly LabelRequirement[] {
  return requirementsOf(selector).filter((one) => !meets(one, valueOf(labels, one.key)));
}

/** The key of a label that no pod can have as the selector wants it; null: there is none. */
export function contradiction(selector: LabelSelector): string | null {
  // An In of nothing is a fault of its own.
  const all = requirementsOf(selector).filter(
    ({ operator, values = [] }) => operator !== 'In' || values.length > 0,
  );
  const keys = [...new Set(all.map(({ key }) => key))];
  return keys.find((key) => !canBeMet(all.filter((one) => one.key === key))) ?? null;
}

function requirementsOf({
  matchLabels = {},
  matchExpressions = [],
}: LabelSelector): readonly LabelRequirement[] {
  const equal = Object.entries(matchLabels).map(([key, value]): LabelRequirement => ({
    key,
    operator: 'In',
    values: [value],
  }));
  return [...equal, ...matchExpressions];
}

/** Of one key: absent, any one of the values that are named, or a value that nobody names. */
function canBeMet(requirements: readonly LabelRequirement[]): boolean {
  const named = requirements.flatMap(({ values = [] }) => values);
  const unnamed = `${named.join('')}x`;
  return [undefined, ...named, unnamed].some((value) =>
    requirements.every((requirement) => meets(requirement, value)),
  );
}
