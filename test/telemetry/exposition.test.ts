import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { expositionFor, OPEN_METRICS, TEXT } from '../../src/telemetry/exposition.ts';

/** As Prometheus 2.42 and 3.5 send it. */
const PROMETHEUS_2 =
  'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
const PROMETHEUS_3 =
  'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1';
const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';

describe('the format of /metrics', () => {
  test.each([
    [PROMETHEUS_2, OPEN_METRICS],
    [PROMETHEUS_3, OPEN_METRICS],
    ['application/openmetrics-text', OPEN_METRICS],
    ['Application/OpenMetrics-Text; Version="1.0.0"; charset=utf-8', OPEN_METRICS],
    ['text/plain;q=0.5, application/openmetrics-text;q=0.5', OPEN_METRICS],
    ['application/openmetrics-text;version=0.0.1', TEXT],
    ['application/openmetrics-text;q=0', TEXT],
    ['application/openmetrics-text;q=rubbish', TEXT],
    ['application/openmetrics-text;q=0.4,text/plain', TEXT],
    ['text/plain;version=0.0.4', TEXT],
    [BROWSER, TEXT],
    ['*/*', TEXT],
    ['', TEXT],
    [',;,=;q', TEXT],
  ])('for "%s" is %s', (accept, contentType) => {
    expect(expositionFor(accept, '').contentType).toBe(contentType);
  });

  test('is the same in OpenMetrics, but for what that writes otherwise', async () => {
    const registers = [new Registry()];
    const labelNames = ['reason'];
    new Counter({ name: 'refused_total', help: 'Says "no".', labelNames, registers }).inc(
      { reason: 'a "quoted" \\ one\nof two # lines' },
      2,
    );
    new Gauge({ name: 'held', help: 'Nothing yet.', labelNames, registers }).reset();
    new Gauge({ name: 'up', help: 'Now.', registers }).set(1);
    new Histogram({ name: 'took_seconds', help: 'Time.', buckets: [0.5, 1], registers }).observe(
      0.75,
    );
    const text = (await registers[0]?.metrics()) ?? '';
    expect(expositionFor('', text)).toEqual({ contentType: TEXT, body: text });
    expect(expositionFor(PROMETHEUS_2, text).body.split('\n')).toEqual([
      String.raw`# HELP refused Says \"no\".`,
      '# TYPE refused counter',
      String.raw`refused_total{reason="a \"quoted\" \\ one\nof two # lines"} 2`,
      '# HELP held Nothing yet.',
      '# TYPE held gauge',
      '# HELP up Now.',
      '# TYPE up gauge',
      'up 1',
      '# HELP took_seconds Time.',
      '# TYPE took_seconds histogram',
      '# UNIT took_seconds seconds',
      'took_seconds_bucket{le="0.5"} 0',
      'took_seconds_bucket{le="1.0"} 1',
      'took_seconds_bucket{le="+Inf"} 1',
      'took_seconds_sum 0.75',
      'took_seconds_count 1',
      '# EOF',
      '',
    ]);
  });
});
