import { readFile } from 'node:fs/promises';
import { parse, stringify } from 'yaml';
import { z } from 'zod';

const alertSchema = z.strictObject({
  alert: z.string(),
  expr: z.string(),
  for: z.string().optional(),
  labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
  annotations: z.strictObject({
    summary: z.string(),
    description: z.string(),
    runbook: z.string().optional(),
    /** Instead of the path, where somebody has made a link of it. */
    runbook_url: z.string().optional(),
  }),
});

const rulesSchema = z.strictObject({
  groups: z.tuple([z.strictObject({ name: z.literal('etcd-guard'), rules: z.array(alertSchema) })]),
});

/** An alert as it stands in the rules file. */
export type Alert = z.infer<typeof alertSchema>;

/** All alerts of a rules file; throws if there is anything in it that is not expected. */
export async function alertsIn(file: string): Promise<readonly Alert[]> {
  const [group] = rulesSchema.parse(parse(await readFile(file, 'utf8'))).groups;
  return group.rules;
}

/** The same for the Prometheus operator. */
export function prometheusRule(alerts: readonly Alert[]): string {
  const object = {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: {
      name: 'etcd-guard',
      namespace: 'etcd-guard',
      labels: { 'app.kubernetes.io/name': 'etcd-guard' },
    },
    spec: { groups: [{ name: 'etcd-guard', rules: alerts }] },
  };
  return (
    '# Made by `npm run docs:metrics` of etcd-guard.rules.yml: change that. The operator selects rules by\n' +
    '# label in many installations: add what yours asks for.\n' +
    stringify(object, { lineWidth: 100 })
  );
}
