import {
  INJECTION_METRICS,
  LOCK_METRICS,
  METRICS,
  type MetricDescription,
} from '../../src/telemetry/metrics.ts';
import type { Alert } from './rules.ts';

/** The text with what stands between the marks of this name replaced; throws if they are not there. */
export function between(text: string, name: string, content: string): string {
  const [begin, end] = [`<!-- begin ${name} -->`, `<!-- end ${name} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`there is no ${begin} … ${end}`);
  return `${text.slice(0, from)}${begin}\n\n${content}\n\n${text.slice(to)}`;
}

/** A row for each metric of the guard's own. */
export function metricsTable(): string {
  const rows = all().map(({ name, type, labels, what, absent, from }) => [
    `\`${name}\``,
    type,
    Object.keys(labels).join(', '),
    what,
    absent,
    from,
  ]);
  return table(['metric', 'type', 'labels', 'what', 'when it is absent', 'from'], rows);
}

/** A row for each label, or for each set of values that a label has with different metrics. */
export function labelsTable(): string {
  const users = new Map<string, string[]>();
  for (const { name, labels } of all()) {
    for (const [label, values] of Object.entries(labels)) {
      const row = [`\`${label}\``, valuesText(values)].join('\u0000');
      users.set(row, [...(users.get(row) ?? []), `\`${name}\``]);
    }
  }
  const rows = [...users].map(([row, names]) => [...row.split('\u0000'), names.join(', ')]);
  return table(['label', 'values', 'of'], rows.toSorted(byText));
}

/** A row for each alert. */
export function alertsTable(alerts: readonly Alert[]): string {
  const rows = alerts.map(({ alert, labels, annotations, for: holds = '' }) => [
    `[${alert}](runbooks/${alert}.md)`,
    labels.severity,
    holds,
    annotations.summary.replaceAll(/\{\{ (?:\$labels\.)?(.+?) \}\}/g, (_all, inner: string) =>
      inner.includes('$value') ? '*N*' : `*${inner.toUpperCase()}*`,
    ),
  ]);
  return table(['alert', 'severity', 'after', 'says'], rows);
}

function all(): readonly MetricDescription[] {
  return [
    ...Object.values(METRICS),
    ...Object.values(LOCK_METRICS),
    ...Object.values(INJECTION_METRICS),
  ];
}

function valuesText(values: readonly string[] | string): string {
  if (typeof values === 'string') return values;
  return values.map((value) => (value === '' ? 'empty' : `\`${value}\``)).join(', ');
}

function byText(a: readonly string[], b: readonly string[]): number {
  return a.join().localeCompare(b.join(), 'en');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
