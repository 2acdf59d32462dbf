import { describe, expect, it } from 'vitest';
import { wantedTraces } from '../../src/tracing/wanted.ts';

const OTLP = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };

describe('traces', () => {
  it.each<[string, Record<string, string>, boolean]>([
    ['by default', {}, false],
    ['for an endpoint', OTLP, true],
    [
      'for one of their own',
      { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c:4318/v1/traces' },
      true,
    ],
    ['for the exporter alone', { OTEL_TRACES_EXPORTER: 'otlp' }, true],
    ['for an endpoint that others use', { ...OTLP, OTEL_TRACES_EXPORTER: 'none' }, false],
    ['where all of it is disabled', { ...OTLP, OTEL_SDK_DISABLED: 'TRUE' }, false],
    ['for an empty endpoint, which is none', { OTEL_EXPORTER_OTLP_ENDPOINT: ' ' }, false],
  ])('%s: %o → %s', (_, environment, on) => {
    expect(wantedTraces(environment)).toEqual({
      on,
      sampler: 'parentbased_always_on',
      ratio: 1,
      problems: [],
    });
  });

  it('are sampled as asked', () => {
    const environment = {
      ...OTLP,
      OTEL_TRACES_SAMPLER: 'traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
    };
    expect(wantedTraces(environment)).toMatchObject({ sampler: 'traceidratio', ratio: 0.25 });
  });

  it('go on by default values where something can’t be used, which is told', () => {
    const environment = {
      ...OTLP,
      OTEL_TRACES_SAMPLER: 'sometimes',
      OTEL_TRACES_SAMPLER_ARG: '7',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    };
    expect(wantedTraces(environment)).toEqual({
      on: true,
      sampler: 'parentbased_always_on',
      ratio: 1,
      problems: [
        "traces are sent by HTTP, not by OTEL_EXPORTER_OTLP_PROTOCOL 'grpc'",
        "OTEL_TRACES_SAMPLER 'sometimes' is not known: every review is traced",
        "OTEL_TRACES_SAMPLER_ARG '7' is not between 0 and 1: it counts as 1",
      ],
    });
    for (const endpoint of ['collector:4318', 'collector', 'http://[']) {
      expect(wantedTraces({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint })).toMatchObject({
        on: true,
        problems: [
          'OTEL_EXPORTER_OTLP_ENDPOINT is no URL such as http://collector:4318: traces do not arrive there',
        ],
      });
    }
    expect(wantedTraces({ ...OTLP, OTEL_TRACES_EXPORTER: 'zipkin' })).toMatchObject({
      on: false,
      problems: ["OTEL_TRACES_EXPORTER can be otlp or none, not 'zipkin': no traces are kept"],
    });
  });
});
