import type { Prometheus } from '../../test/harness/prometheus.ts';
import type { Guard, MetricSample } from './guard.ts';
import { chapter, check, output, remark, request } from './narration.ts';
import type { Shell } from './shell.ts';
import type { Refusals } from './story.ts';

/** `delete/LeaderProtected` to its number. */
type Counts = ReadonlyMap<string, number>;

interface Question {
  readonly metric: string;
  readonly by: readonly string[];
}

const DENIALS: Question = { metric: 'etcdguard_denials_total', by: ['operation', 'reason'] };
const HAND_OFFS: Question = { metric: 'etcdguard_handoffs_total', by: ['outcome'] };

/** Prints what Prometheus (or else /metrics) has counted, and checks it against what was shown. */
export async function showCounters(
  { guard, shell }: { readonly guard: Guard; readonly shell: Shell },
  prometheus: Prometheus | null,
  refusals: Refusals,
): Promise<void> {
  chapter(prometheus === null ? 'What the guard has counted' : 'What Prometheus has counted');
  let denials: Counts = new Map();
  for (const question of [HAND_OFFS, DENIALS]) {
    denials = await countsAt(guard, question);
    if (prometheus === null) await showMetrics(guard, question);
    else await ask(prometheus, shell, { question, expected: denials });
  }
  let repeated = false;
  for (const [refusal, times] of refusals) {
    const counted = denials.get(refusal) ?? 0;
    check(counted >= times, `${refusal} was refused ${times} times, but counted ${counted}`);
    repeated ||= counted > times;
  }
  if (repeated) remark('this version of Kubernetes asks twice before it refuses a delete');
}

async function countsAt(guard: Guard, { metric, by }: Question): Promise<Counts> {
  const samples = await guard.metric(metric);
  return byLabels(
    samples.filter(({ value }) => value > 0),
    by,
  );
}

async function showMetrics(guard: Guard, { metric }: Question): Promise<void> {
  for (const address of guard.metricsAddresses) request(`GET http://${address}/metrics`);
  for (const { labels, value } of await guard.metric(metric)) {
    if (value > 0) output(`${metric}${inBraces(labels)} ${value}`);
  }
}

/** As soon as its last scrape is as recent as what is expected. */
async function ask(
  prometheus: Prometheus,
  shell: Shell,
  { question, expected }: { readonly question: Question; readonly expected: Counts },
): Promise<void> {
  const { metric, by } = question;
  const expression = `sum by (${by.join(', ')}) (${metric}) > 0`;
  await prometheus.waitFor(expression, (samples) => same(byLabels(samples, by), expected));
  const { exitCode } = await shell.show('promtool', 'query', 'instant', prometheus.url, expression);
  check(exitCode === 0, `promtool ended with exit code ${exitCode}`);
}

function same(one: Counts, other: Counts): boolean {
  return one.size === other.size && [...one].every(([key, value]) => other.get(key) === value);
}

function byLabels(samples: readonly MetricSample[], by: readonly string[]): Counts {
  return new Map(
    samples.map(({ labels, value }) => [by.map((key) => labels[key] ?? '').join('/'), value]),
  );
}

function inBraces(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
  return `{${pairs.join(', ')}}`;
}
