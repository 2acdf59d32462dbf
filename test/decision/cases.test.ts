import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { RULES } from '../../src/decision/rules.ts';
import { REASONS } from '../../src/decision/situation.ts';
import { parse } from './dsl.ts';
import { play } from './play.ts';

/** UPDATE_CASES=1 writes what happens as what is expected: read the diff against the table. */
const UPDATE = process.env['UPDATE_CASES'] === '1';
const FOLDER = new URL('cases/', import.meta.url);
const PAGE = new URL('../../docs/decision.md', import.meta.url);
const DOCS = readFileSync(PAGE, 'utf8');
const RULE_ROWS = /(^\| rule \| row \|.*\n\|[-|]+\|\n)(?:\|.*\n)*/m;
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith('.txt'));

interface TextCase {
  readonly line: number;
  readonly comment: string;
  readonly description: string;
  readonly expected: string;
}

/** Cases are paragraphs: comments, a description (long ones go on indented), `----`, expected lines. */
function casesIn(file: string): readonly TextCase[] {
  const text = readFileSync(new URL(file, FOLDER), 'utf8');
  let line = 1;
  const cases: TextCase[] = [];
  for (const paragraph of text.split(/\n\n+/)) {
    const lines = paragraph.split('\n');
    const comment = lines.filter((one) => one.startsWith('#'));
    const body = lines
      .filter((one) => !one.startsWith('#'))
      .join('\n')
      .trim();
    if (body !== '') cases.push({ line: line + comment.length, ...caseIn(body, comment) });
    line += lines.length + 1;
  }
  return cases;
}

function caseIn(body: string, comment: readonly string[]): Omit<TextCase, 'line'> {
  const [description = '', expected, ...more] = body.split(/^----$/m);
  if (expected === undefined || more.length > 0) throw new Error(`one ---- is needed in\n${body}`);
  return {
    comment: comment.join('\n'),
    description: description.trim(),
    expected: expected.trim(),
  };
}

function written({ comment, description }: TextCase, outcome: string): string {
  return [comment, description, '----', outcome].filter((part) => part !== '').join('\n');
}

function outcomeOf({ description }: TextCase): string {
  return play(parse(description.replaceAll(/\s*\n\s+/g, ' ')));
}

const decidedBy = new Set<string>();

beforeAll(() => {
  for (const rule of RULES) {
    const { applies } = rule;
    vi.spyOn(rule, 'applies').mockImplementation((c) => {
      const outcome = applies(c);
      if (outcome !== false) decidedBy.add(rule.id);
      return outcome;
    });
  }
});

describe.each(FILES)('%s', (file) => {
  const cases = casesIn(file);
  if (UPDATE) {
    const text = cases.map((one) => written(one, outcomeOf(one))).join('\n\n');
    writeFileSync(new URL(file, FOLDER), `${text}\n`);
  }
  test.each(UPDATE ? casesIn(file) : cases)('line $line: $description', (one) => {
    expect(outcomeOf(one)).toBe(one.expected);
  });
});

describe('the cases together', () => {
  const outcomes = FILES.flatMap((file) => casesIn(file).map((one) => one.expected));
  test.each(REASONS)('have one that ends with %s', (reason) => {
    expect(outcomes.filter((text) => text.split(/\s/, 2)[1] === reason)).not.toEqual([]);
  });
  test.each(RULES.map(({ id }) => id))('have one that rule %s decides', (id) => {
    expect([...decidedBy]).toContain(id);
  });
  test('name no reason that the table does not have', () => {
    const named = outcomes.map((text) => text.split(/\s/, 2)[1]);
    expect(named.filter((reason) => !REASONS.some((known) => known === reason))).toEqual([]);
  });

  const comments = FILES.map((file) => ({
    file,
    comments: casesIn(file)
      .map(({ comment }) => comment)
      .join('\n'),
  }));

  test('name every clause of docs/decision.md, and none that it does not have', () => {
    const [, list = ''] = DOCS.split('## How open clauses are read');
    const clauses = [...list.matchAll(/^(\d+)\. /gm)].map(([, number]) => number);
    const named = comments.flatMap((one) =>
      [...one.comments.matchAll(/clause (\d+)/gi)].map(([, number]) => number),
    );
    expect(new Set(named)).toEqual(new Set(clauses));
  });

  test('are where docs/decision.md says for each rule', () => {
    const rows = RULES.map(({ id, row, why }) => {
      const files = comments.filter((one) => new RegExp(`Row ${row}\\b`).test(one.comments));
      expect(files, `files with a comment that names row ${row}`).not.toEqual([]);
      const names = files.map(({ file }) => file.replace('.txt', '')).join(', ');
      return `| \`${id}\` | ${row} | ${why} | ${names} |\n`;
    });
    const text = DOCS.replace(RULE_ROWS, (_, head: string) => head + rows.join(''));
    if (process.env['UPDATE_DOCS']) writeFileSync(PAGE, text);
    expect(readFileSync(PAGE, 'utf8')).toBe(text);
  });
});
