import type { Options } from './command.ts';
import { list, OBJECT_NAME, oneOf, text, type Given } from './values.ts';

/** Guards from files, or from the EtcdGuards of a cluster; a null kubeconfig is looked for. */
export type GuardsConfig =
  | { readonly kind: 'files'; readonly files: readonly string[] }
  | {
      readonly kind: 'cluster';
      readonly kubeconfig: string | null;
      /** null: the current one. */
      readonly context: string | null;
    };

const VIAS = ['auto', 'direct', 'webhook'] as const;

/** Who answers in a dry run; auto: etcd, and where it can't be judged from here, the API server. */
export type Via = (typeof VIAS)[number];

/** Where guards are from. */
export const GUARDS: Options = {
  guards: { type: 'string', multiple: true },
  kubeconfig: { type: 'string' },
};

/** Which guards people mean, and where. */
export const MEANT: Options = {
  ...GUARDS,
  context: { type: 'string' },
  namespace: { type: 'string', short: 'n' },
};

/** Of the commands that answer a question. */
export const VIA: Options = { via: { type: 'string', values: VIAS } };

/** Of the commands that are about one pod. */
export const POD = { is: 'pod', missing: 'the name of a pod is missing' } as const;

/** Where guards are from; files and all that is about a cluster exclude each other. */
export function guardsConfig(given: Given): GuardsConfig {
  const kubeconfig = text(given, 'kubeconfig') ?? null;
  const context = text(given, 'context') ?? null;
  const files = list(given, 'guards');
  if (files === null) return { kind: 'cluster', kubeconfig, context };
  for (const name of ['kubeconfig', 'context', 'via']) {
    if (text(given, name) !== undefined) {
      given.problems.push(`--guards and --${name} exclude each other`);
    }
  }
  return { kind: 'files', files };
}

/** Who is to answer. */
export function via(given: Given): Via {
  return oneOf(given, 'via', VIAS) ?? 'auto';
}

/** Where people mean; null: where they have not said. */
export function namespaceName(given: Given): string | null {
  const namespace = text(given, 'namespace') ?? null;
  if (namespace !== null && !OBJECT_NAME.test(namespace)) {
    given.problems.push(`'${namespace}' is not the name of a namespace`);
  }
  return namespace;
}

/** The pod of that name; null: none is named. */
export function podName(name: string | undefined, { problems }: Given): string | null {
  if (name !== undefined && !OBJECT_NAME.test(name)) {
    problems.push(`'${name}' is not the name of a pod: ${nameHint(name, POD_KINDS)}`);
  }
  return name ?? null;
}

/** The EtcdGuard of that name; null: none is named. One that no object can have is merely not found. */
export function guardName(name: string | undefined, { problems }: Given): string | null {
  if (name === '' || name?.includes('/') === true) {
    problems.push(`'${name}' is not the name of an EtcdGuard: ${nameHint(name, GUARD_KINDS)}`);
  }
  return name ?? null;
}

const POD_KINDS = /^(pods?|po)$/;
/** As `status -o name` and kubectl print it, too. */
const GUARD_KINDS = /^(etcdguards?(\.etcd-guard\.io)?|eg)$/;

/** Tables and refusals say NAMESPACE/NAME, kubectl KIND/NAME. */
function nameHint(name: string, kinds: RegExp): string {
  const [, before = '', after = ''] = /^([^/]+)\/([^/]+)$/.exec(name) ?? [];
  if (OBJECT_NAME.test(after)) {
    if (kinds.test(before)) return `write ${after}, not ${name}`;
    if (OBJECT_NAME.test(before)) return `write ${after} -n ${before}`;
  }
  return 'it takes lower-case letters, digits, - and .';
}
