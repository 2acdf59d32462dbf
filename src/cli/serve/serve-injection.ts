import { createInjectionHandler } from '../../injection/answer.ts';
import type { KubernetesApi } from '../../kubernetes/api/api.ts';
import { InjectionReader } from '../../kubernetes/injection/injection-reader.ts';
import type { Capability, CapabilityContext } from './capability.ts';

/** What injection uses of its context. */
interface InjectionServing extends Pick<CapabilityContext, 'log' | 'webhookConfiguration'> {
  readonly api: Pick<KubernetesApi, 'get' | 'list'>;
}

/** What new pods are given, as EtcdGuards name it. */
export function serveInjection({ api, log, webhookConfiguration }: InjectionServing): Capability {
  const handle = createInjectionHandler({
    source: new InjectionReader(api),
    observer: {
      given({ uid, namespace, name }, { guard, operations, warnings }) {
        const line = {
          requestId: uid,
          operation: 'inject',
          namespace,
          pod: name,
          guard: guard === null ? null : `${guard.namespace}/${guard.name}`,
          injected: operations.map(({ path }) => path),
        };
        if (warnings.length > 0) log.warn({ ...line, warnings }, 'injected, with warnings');
        else log.info(line, 'injected');
      },
      failed(creation, error) {
        const { uid, namespace, name } = creation ?? {};
        log.error({ requestId: uid, namespace, pod: name, err: error }, 'could not inject');
      },
    },
  });
  return {
    path: '/mutate',
    handle,
    registration: {
      kind: 'MutatingWebhookConfiguration',
      name: `${webhookConfiguration}-injection`,
      without: 'nothing is injected into new pods',
    },
    onHeld: () => undefined,
    onLost: () => undefined,
    close: () => Promise.resolve(),
  };
}
