import type { ReviewContext } from '../../admission/review.ts';
import type { Reply } from '../../admission/response.ts';
import { connectEtcd } from '../../etcd/connect.ts';
import type { ConnectionSettings, EtcdCluster, EtcdRequestObserver } from '../../etcd/port.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { tracedEtcd, tracedRequests } from '../../tracing/traced-etcd.ts';
import { tracedReviews } from '../../tracing/traced-reviews.ts';
import { wantedTraces } from '../../tracing/wanted.ts';

type Handle = (review: unknown, at: ReviewContext) => Reply | Promise<Reply>;

/** How etcd is connected to and reviews are handled: as they are, or traced. */
export interface Traces {
  connect(settings: ConnectionSettings, observer: EtcdRequestObserver): EtcdCluster;
  reviews(handle: Handle): Handle;
  /** Ends within a few seconds. */
  close(): Promise<void>;
}

const OFF: Traces = {
  connect: connectEtcd,
  reviews: (handle) => handle,
  close: () => Promise.resolve(),
};

/** Traces as the standard variables of OpenTelemetry ask for them, which is loaded only then. */
export async function keepTraces(
  environment: Readonly<Record<string, string | undefined>>,
  { version, log }: { readonly version: string; readonly log: Logger },
): Promise<Traces> {
  const { on, sampler, ratio, problems } = wantedTraces(environment);
  for (const problem of problems) log.warn({ problem }, 'traces');
  if (!on) return OFF;
  const { openTelemetry } = await import('../../tracing/open-telemetry.ts');
  const onFailed = (problem: string): void => log.warn({ problem }, 'could not send traces');
  const tracing = openTelemetry({ version, sampler, ratio, onFailed });
  return {
    connect: (settings, observer) =>
      tracedEtcd(
        connectEtcd(settings, tracedRequests(observer, tracing), {
          keepContext: tracing.keepContext,
        }),
        tracing,
      ),
    reviews: (handle) => tracedReviews(handle, tracing),
    close: () => tracing.close(),
  };
}
