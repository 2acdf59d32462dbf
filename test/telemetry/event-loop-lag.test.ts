import { createHistogram } from 'node:perf_hooks';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { measureEventLoopLag } from '../../src/telemetry/event-loop-lag.ts';
import { Recorder } from '../../src/telemetry/recorder.ts';
import { until } from '../harness/until.ts';

const MS = 1_000_000;

function milliseconds(text: string): Record<string, number> {
  const lines = text.matchAll(/^nodejs_eventloop_lag_(\w+)_seconds (\S+)$/gm);
  return Object.fromEntries(
    Array.from(lines, ([, name, seconds]) => [name, Math.round(Number(seconds) * 1_000)]),
  );
}

test('how late timers of 100 ms were, since the last scrape', async () => {
  const delays = createHistogram();
  const registry = new Registry();
  measureEventLoopLag(registry, delays);
  const none = { min: 0, max: 0, mean: 0, stddev: 0, p50: 0, p90: 0, p99: 0 };
  expect(milliseconds(await registry.metrics())).toEqual(none);
  for (const ms of [99, 100, 100, 120, 181]) delays.record(ms * MS);
  const seen = { min: 0, max: 81, mean: 20, stddev: 31, p50: 0, p90: 81, p99: 81 };
  expect(milliseconds(await registry.metrics())).toEqual(seen);
  delays.record(150 * MS);
  const next = { min: 50, max: 50, mean: 50, stddev: 0, p50: 50, p90: 50, p99: 50 };
  expect(milliseconds(await registry.metrics())).toEqual(next);
  expect(milliseconds(await registry.metrics())).toEqual(next);
});

test('a real event loop that is blocked is late', async () => {
  const recorder = new Recorder('1.2.3');
  const max = await until('a blocked loop is seen', async () => {
    const untilMs = performance.now() + 250;
    while (performance.now() < untilMs);
    const seen = milliseconds((await recorder.exposition('')).body)['max'] ?? 0;
    return seen > 0 && seen;
  });
  expect(max).toBeGreaterThan(100);
});
