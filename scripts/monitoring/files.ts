import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { dashboard } from './dashboard.ts';
import { alertsIn, prometheusRule } from './rules.ts';
import { alertsTable, between, labelsTable, metricsTable } from './tables.ts';

const MONITORING = 'deploy/webhook/components/monitoring';

/** The source of both forms of the alerts. */
export const RULES = `${MONITORING}/etcd-guard.rules.yml`;

/** What is made of the code and of the alerts: paths in the repository, and what is to stand there. */
export async function generated(root: string): Promise<ReadonlyMap<string, string>> {
  const alerts = await alertsIn(join(root, RULES));
  const docs = await readFile(join(root, 'docs/metrics.md'), 'utf8');
  const tables: readonly (readonly [string, string])[] = [
    ['metrics', metricsTable()],
    ['labels', labelsTable()],
    ['alerts', alertsTable(alerts)],
  ];
  const files = [
    ['docs/metrics.md', tables.reduce((text, [name, table]) => between(text, name, table), docs)],
    [`${MONITORING}/prometheus-rule.yaml`, await pretty(root, prometheusRule(alerts), 'yaml')],
    [
      'deploy/webhook/components/dashboard/etcd-guard.json',
      await pretty(root, dashboard(), 'json'),
    ],
  ] as const;
  return new Map(files);
}

async function pretty(root: string, text: string, parser: string): Promise<string> {
  const config = await resolveConfig(join(root, 'package.json'));
  return format(text, { ...config, parser });
}
