import { AsyncLocalStorage } from 'node:async_hooks';
import {
  diag,
  DiagLogLevel,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Span,
  type Tracer,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type Sampler,
} from '@opentelemetry/sdk-trace';
import type { Outcome, Tracing } from './port.ts';

/** How traces are kept; the exporter and the resource read the other standard variables themselves. */
export interface OpenTelemetryOptions {
  readonly version: string;
  /** OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG. */
  readonly sampler: string;
  readonly ratio: number;
  readonly onFailed: (message: string) => void;
}

const CLOSE_MS = 2_000;

function ignore(): void {
  // Only what has failed is worth a line of the log.
}

/** Sends traces to an OTLP endpoint over HTTP, in batches; loading this file loads OpenTelemetry. */
export function openTelemetry(options: OpenTelemetryOptions): Tracing {
  diag.setLogger(
    { error: options.onFailed, warn: ignore, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true },
  );
  return new OpenTelemetryTracing(options);
}

class OpenTelemetryTracing implements Tracing {
  readonly keepContext = (): ReturnType<Tracing['keepContext']> => AsyncLocalStorage.snapshot();
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;
  readonly #active = new AsyncLocalStorage<Span>();

  constructor({ version, sampler, ratio }: OpenTelemetryOptions) {
    const ours = { 'service.name': 'etcd-guard', 'service.version': version };
    this.#provider = new TracerProvider({
      resource: resourceFromAttributes(ours).merge(detectResources({ detectors: [envDetector] })),
      sampler: samplerOf(sampler, ratio),
      spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
    });
    this.#tracer = this.#provider.getTracer('etcd-guard', version);
  }

  request<T>(name: string, work: () => Promise<T>, outcome: (result: T) => Outcome): Promise<T> {
    return this.#traced(this.#start(name, SpanKind.SERVER), work, outcome);
  }

  part<T>(name: string, work: () => Promise<T>, outcome: (result: T) => Outcome): Promise<T> {
    if (this.#active.getStore() === undefined) return work();
    return this.#traced(this.#start(name, SpanKind.INTERNAL), work, outcome);
  }

  asked(name: string, seconds: number, outcome: Outcome): void {
    if (this.#active.getStore() === undefined) return;
    const span = this.#start(name, SpanKind.CLIENT, Date.now() - seconds * 1_000);
    finish(span, outcome);
    span.end();
  }

  async close(): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, CLOSE_MS).unref();
    await Promise.race([this.#provider.shutdown().catch(() => undefined), late]);
  }

  #start(name: string, kind: SpanKind, startTime?: number): Span {
    const parent = this.#active.getStore();
    const context = parent === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, parent);
    const when = startTime === undefined ? {} : { startTime };
    return this.#tracer.startSpan(name, { kind, ...when }, context);
  }

  async #traced<T>(
    span: Span,
    work: () => Promise<T>,
    outcome: (result: T) => Outcome,
  ): Promise<T> {
    try {
      const result = await this.#active.run(span, work);
      finish(span, outcome(result));
      return result;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      span.setStatus({ code: SpanStatusCode.ERROR, message });
      throw error;
    } finally {
      span.end();
    }
  }
}

function finish(span: Span, { attributes, failed }: Outcome): void {
  span.setAttributes(attributes);
  if (failed) span.setStatus({ code: SpanStatusCode.ERROR });
}

function samplerOf(name: string, ratio: number): Sampler {
  const base = name.replace(/^parentbased_/, '');
  const root =
    base === 'always_off'
      ? new AlwaysOffSampler()
      : base === 'traceidratio'
        ? new TraceIdRatioBasedSampler(ratio)
        : new AlwaysOnSampler();
  return base === name ? root : new ParentBasedSampler({ root });
}
