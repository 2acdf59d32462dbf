import { createInjectionHandler, type InjectionObserver } from '../../injection/answer.ts';
import type { KubernetesApi } from '../../kubernetes/api/api.ts';
import { InjectionReader } from '../../kubernetes/injection/injection-reader.ts';
import type { Capability, CapabilityContext } from './capability.ts';

/** What injection uses of its context. */
interface InjectionServing extends Pick<
  CapabilityContext,
  'recorder' | 'log' | 'webhookConfiguration'
> {
  readonly api: Pick<KubernetesApi, 'get' | 'list'>;
}

/** What new pods are given, as EtcdGuards name it. */
export function serveInjection(context: InjectionServing): Capability {
  const handle = createInjectionHandler({
    source: new InjectionReader(context.api),
    observer: observer(context),
  });
  return {
    path: '/mutate',
    handle,
    registration: {
      kind: 'MutatingWebhookConfiguration',
      name: `${context.webhookConfiguration}-injection`,
      without: 'nothing is injected into new pods',
    },
    onHeld: () => undefined,
    onLost: () => undefined,
    close: () => Promise.resolve(),
  };
}

function observer({ recorder, log }: InjectionServing): InjectionObserver {
  const count = recorder.countInjections();
  return {
    given({ uid, namespace, name }, { guard, operations, warnings }) {
      const line = {
        requestId: uid,
        operation: 'inject',
        namespace,
        pod: name,
        guard: guard === null ? null : `${guard.namespace}/${guard.name}`,
        injected: operations.map(({ path }) => path),
      };
      if (warnings.length > 0) {
        count('incomplete');
        log.warn({ ...line, warnings }, 'injected, with warnings');
      } else {
        count(operations.length > 0 ? 'injected' : 'unchanged');
        log.info(line, 'injected');
      }
    },
    failed(creation, error) {
      const { uid, namespace, name } = creation ?? {};
      count('failed');
      log.error({ requestId: uid, namespace, pod: name, err: error }, 'could not inject');
    },
  };
}
