import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { dashboard, queries } from '../../scripts/monitoring/dashboard.ts';
import { generated, RULES } from '../../scripts/monitoring/files.ts';
import { alertsIn, type Alert } from '../../scripts/monitoring/rules.ts';
import {
  INJECTION_METRICS,
  LOCK_METRICS,
  METRICS,
  type MetricDescription,
} from '../../src/telemetry/metrics.ts';
import { Recorder } from '../../src/telemetry/recorder.ts';
import { kustomization, objectsIn, ownObjects, ROOT } from './manifests.ts';
import { parseExpression, type Selector } from './promql.ts';

const text = (name: string): string => readFileSync(join(ROOT, name), 'utf8');

const alerts = await alertsIn(join(ROOT, RULES));
const names = alerts.map(({ alert }) => alert);

/** Labels that every scraped series gets. */
const TARGET = ['job', 'instance'];

type Labels = MetricDescription['labels'];

const everyMetric = [METRICS, LOCK_METRICS, INJECTION_METRICS].flatMap((some) =>
  Object.values<MetricDescription>(some),
);

/** By the names of their samples: what the guard has, and what Prometheus adds. */
const known: ReadonlyMap<string, Labels> = new Map([
  ['up', {}],
  ...(await defaultMetrics()).map((name) => [name, {}] as const),
  ...everyMetric.flatMap(({ name, type, labels }) =>
    type === 'histogram'
      ? ([
          [`${name}_bucket`, { ...labels, le: 'upper bound in seconds' }],
          [`${name}_sum`, labels],
          [`${name}_count`, labels],
        ] as const)
      : ([[name, labels]] as const),
  ),
]);

/** Node's own, which have no labels of which we make use. */
async function defaultMetrics(): Promise<readonly string[]> {
  const { body } = await new Recorder('1.2.3').exposition('');
  return [...body.matchAll(/^# TYPE ((?:process|nodejs)_\w+)/gm)].map(([, name = '']) => name);
}

/** What an expression refers to that is not there, in words. */
function faultsOf(expression: string): readonly string[] {
  const { selectors, groupings } = parseExpression(expression);
  const labels = selectors.flatMap(({ metric }) => Object.keys(known.get(metric) ?? {}));
  const there = new Set([...TARGET, ...labels]);
  return [
    ...selectors.flatMap(faultsOfSelector),
    ...groupings.filter((one) => !there.has(one)).map((one) => `no label ${one}`),
  ];
}

function faultsOfSelector({ metric, matchers }: Selector): readonly string[] {
  const labels = known.get(metric);
  if (labels === undefined) return [`no metric ${metric}`];
  return matchers
    .filter(({ label }) => !TARGET.includes(label))
    .flatMap(({ label, op, value }) => {
      const values = labels[label];
      if (values === undefined) return [`${metric} has no ${label}`];
      const wrong = typeof values !== 'string' && !op.includes('~') && !values.includes(value);
      return wrong ? [`${metric} has no ${label} ${value}`] : [];
    });
}

describe('what is said to be wrong with an expression', () => {
  test.each([
    ['sum(etcdguard_denials_total)', []],
    ['sum by (le) (rate(etcdguard_admission_duration_seconds_bucket[5m]))', []],
    ['etcdguard_denials', ['no metric etcdguard_denials']],
    ['etcdguard_ready{guard="a"}', ['etcdguard_ready has no guard']],
    ['etcdguard_denials_total{reason="Spared"}', ['etcdguard_denials_total has no reason Spared']],
    ['sum by (cluster) (etcdguard_ready)', ['no label cluster']],
  ])('%s: %j', (expression, faults) => {
    expect(faultsOf(expression)).toEqual(faults);
  });

  test('is that it is none', () => {
    expect(() => faultsOf('sum(')).toThrow('no PromQL at 4');
    expect(() => faultsOf('a{b=}')).toThrow('no PromQL');
  });
});

test('what is made of the code and the alerts is what `npm run docs:metrics` makes', async () => {
  for (const [path, content] of await generated(ROOT))
    expect(text(path), `in ${path}`).toBe(content);
});

describe.each(alerts)('$alert', ({ alert, expr, annotations }) => {
  test('asks for metrics and labels that there are', () => {
    expect(faultsOf(expr)).toEqual([]);
  });

  test('names labels that it has', () => {
    const used = [
      ...Object.values(annotations)
        .join(' ')
        .matchAll(/\$labels\.(\w+)/g),
    ];
    const { groupings, selectors } = parseExpression(expr);
    const has = groupings.length > 0 ? groupings : selectors.length > 0 ? TARGET : [];
    for (const [, label] of used) expect(has).toContain(label);
  });

  test('has a runbook that says what it means, what to look at, what to do, and when to ignore it', () => {
    const page = `docs/runbooks/${alert}.md`;
    expect(annotations.runbook).toBe(page);
    const [title, ...sections] = [...text(page).matchAll(/^#+ (.+)$/gm)].map(([, head]) => head);
    expect(title).toBe(alert);
    expect(sections).toEqual([
      'What it means',
      'What to look at',
      'What to do',
      'When to ignore it',
    ]);
    expect(text(page)).toMatch(/^ {4}kubectl |^ {4}curl |^ {4}etcdctl /m);
  });

  test('is tested to fire, to resolve, and not to fire in a near miss', () => {
    const firing = casesOf(alert).map((checks) =>
      checks.map(({ exp_alerts: some }) => some.length),
    );
    expect(firing.some((some) => some.includes(1) && some.at(-1) === 0)).toBe(true);
    expect(firing.some((some) => some.every((count) => count === 0))).toBe(true);
  });
});

const ruleTestSchema = z.object({
  rule_files: z.tuple([z.literal(`../../../${RULES}`)]),
  tests: z.array(
    z.object({
      name: z.string(),
      alert_rule_test: z.array(
        z.object({ alertname: z.string(), exp_alerts: z.array(z.unknown()).max(1) }),
      ),
    }),
  ),
});

function casesOf(alert: Alert['alert']) {
  const { tests } = ruleTestSchema.parse(parse(text(`test/deploy/alerts/${alert}.yaml`)));
  return tests.map(({ alert_rule_test: checks }) =>
    checks.filter(({ alertname }) => alertname === alert),
  );
}

function namesIn(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder)).map((file) => file.replace(/\.\w+$/, ''));
}

test('there are no runbooks and no tests of alerts that are not there, and no alert twice', () => {
  expect(namesIn('docs/runbooks').toSorted()).toEqual(names.toSorted());
  expect(namesIn('test/deploy/alerts').toSorted()).toEqual(names.toSorted());
  expect(new Set(names).size).toBe(names.length);
});

describe('the dashboard', () => {
  const panelSchema = z.looseObject({
    id: z.number(),
    type: z.string(),
    title: z.string(),
    gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
    targets: z.array(z.object({ expr: z.string(), legendFormat: z.string() })).default([]),
  });
  const { panels, templating } = z
    .looseObject({
      panels: z.array(panelSchema),
      templating: z.object({ list: z.array(z.looseObject({ name: z.string() })) }),
    })
    .parse(JSON.parse(dashboard()));

  test.each(queries())('%s asks for metrics and labels that there are', (query) => {
    expect(faultsOf(query)).toEqual([]);
  });

  test('has no query besides those, and legends only of labels that a query leaves', () => {
    const targets = panels.flatMap((panel) => panel.targets);
    expect(targets).toHaveLength(queries().length);
    for (const { expr, legendFormat } of targets) {
      const { groupings } = parseExpression(expr.replaceAll('$__rate_interval', '5m'));
      const left = groupings.length === 0 ? TARGET : groupings;
      for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
        expect(left).toContain(label);
    }
  });

  test('has panels beside each other, not over each other, within 24 columns', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const taken = new Set<string>();
    for (const {
      title,
      gridPos: { x, y, w, h },
    } of panels) {
      expect(x + w).toBeLessThanOrEqual(24);
      for (let column = x; column < x + w; column += 1) {
        for (let row = y; row < y + h; row += 1) {
          expect(taken.has(`${column},${row}`), `of ${title}`).toBe(false);
          taken.add(`${column},${row}`);
        }
      }
    }
  });

  test('can be asked for one data source, namespace and guard', () => {
    expect(templating.list.map(({ name }) => name)).toEqual(['datasource', 'namespace', 'guard']);
    for (const [, query = ''] of dashboard().matchAll(
      /"definition": "label_values\((.+), \w+\)"/g,
    )) {
      expect(faultsOf(query.replaceAll(String.raw`\"`, '"'))).toEqual([]);
    }
  });

  test('goes into a ConfigMap that the sidecar of Grafana finds', () => {
    const component = parse(text('deploy/webhook/components/dashboard/kustomization.yaml'));
    expect(component).toMatchObject({
      kind: 'Component',
      configMapGenerator: [
        {
          namespace: 'etcd-guard',
          files: ['etcd-guard.json'],
          options: { labels: { grafana_dashboard: '1' } },
        },
      ],
    });
  });
});

test('the PrometheusRule has the rules of the plain file', () => {
  const [, rule] = ownObjects(kustomization('webhook/components/monitoring'));
  expect(rule).toMatchObject({ kind: 'PrometheusRule', metadata: { namespace: 'etcd-guard' } });
  expect(rule?.spec).toEqual(parse(text(RULES)));
  expect(objectsIn(text('deploy/webhook/components/monitoring/prometheus-rule.yaml'))).toHaveLength(
    1,
  );
});
