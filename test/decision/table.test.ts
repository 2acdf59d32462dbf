import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { RULES } from '../../src/decision/rules.ts';
import { REASONS } from '../../src/decision/situation.ts';

const DOCS = readFileSync(new URL('../../docs/decision.md', import.meta.url), 'utf8');
const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** The rows of a Markdown table whose first column counts up: number and reason. */
function rowsOf(markdown: string): readonly (readonly [number, string])[] {
  return [...markdown.matchAll(/^\| *(\d+) *\| *`?(\w+)`? *\|/gm)].map(([, row, reason = '']) => [
    Number(row),
    reason,
  ]);
}

test('docs/decision.md lists the reasons, in order', () => {
  expect(rowsOf(DOCS)).toEqual(REASONS.map((reason, i) => [i + 1, reason]));
});

test('README.md has the same table, word for word', () => {
  const table = DOCS.split('\n').filter((line) => /^\| \d+ \|/.test(line));
  expect(table).toHaveLength(REASONS.length);
  expect(README).toContain(table.join('\n'));
});

test.each(RULES)('rule $id stands in the row of its reason', ({ row, reason }) => {
  expect(row).toBe(REASONS.indexOf(reason) + 1);
});

test('every row has a rule', () => {
  const covered = new Set(RULES.map(({ reason }) => reason));
  expect(REASONS.filter((reason) => !covered.has(reason))).toEqual([]);
});

test('rule ids are unique, and every rule says why', () => {
  expect(new Set(RULES.map(({ id }) => id)).size).toBe(RULES.length);
  expect(RULES.filter(({ why }) => why.trim() === '')).toEqual([]);
});

test('the rules stand in the order of their rows, but for those of row 8 that need proof', () => {
  const late = new Set(['obstacle', 'unproven', 'nothing-to-lose']);
  const rows = RULES.filter(({ id }) => !late.has(id)).map(({ row }) => row);
  expect(rows).toEqual(rows.toSorted((a, b) => a - b));
});
