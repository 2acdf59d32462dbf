/** What a guard wants its pods to be given; `terminationGracePeriodSeconds` is a floor, null for none. */
export interface Injection {
  readonly files: readonly InjectedFile[];
  readonly readinessGate: boolean;
  readonly terminationGracePeriodSeconds: number | null;
}

/** A ConfigMap of the pod's namespace, and the directory that shows it in every container. */
export interface InjectedFile {
  readonly configMap: string;
  readonly mountPath: string;
  /** Init containers as well. */
  readonly inInitContainers: boolean;
}

/** The label, and its value, by which a pod asks to be given what its guard names. */
export const ASKING = { label: 'etcd-guard.io/inject', value: 'enabled' } as const;
/** On pods that were given something. */
export const INJECTED_LABEL = 'etcd-guard.io/injected';
/** The pod condition that a readiness gate waits for. */
export const IN_SYNC = 'etcd-guard.io/InSync';
