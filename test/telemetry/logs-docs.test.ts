import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { createReviewHandler } from '../../src/admission/admit.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { Recorder } from '../../src/telemetry/recorder.ts';
import { FakeEtcd } from '../fakes/etcd.ts';
import { loadedGuard, sourceOf } from '../fakes/guards.ts';
import { deleteReview, evictionReview } from '../harness/guard-process.ts';
import { systemClock } from '../../src/sharing/clock.ts';
import { Turns } from '../../src/sharing/turns.ts';

const ROOT = join(import.meta.dirname, '../..');
const DOCS = readFileSync(join(ROOT, 'docs/logs.md'), 'utf8');
const PODS = ['etcd-0', 'etcd-1', 'etcd-2'];

/** The rows of the tables of one section, cell by cell, without their heads. */
function rowsOf(title: string): readonly (readonly string[])[] {
  const [, section = ''] = DOCS.split(`\n## ${title}\n`);
  const [body = ''] = section.split('\n## ');
  return body
    .split('\n')
    .filter((line) => line.startsWith('| `') && !line.startsWith('| `msg` |'))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map((cells) => cells.slice(1, -1));
}

function quoted(cell = ''): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text);
}

/** Each message that the program may log, with its levels; what is put in stands as `…`. */
function loggedIn(source: string): readonly (readonly [string, string])[] {
  const calls = source.matchAll(/\b(?:log|warnings)\.(debug|info|warn|error)\(/g);
  return [...calls].flatMap(({ index, 0: begin, 1: level = '' }) => {
    const args = source.slice(index + begin.length, endOfCall(source, index + begin.length));
    const text = [...args.matchAll(/'([^']*)'|"([^"]*)"|`([^`]*)`/g)]
      .map(([, ...kinds]) => kinds.find((kind) => kind !== undefined) ?? '')
      .at(-1);
    return text === undefined ? [] : [[text.replaceAll(/\$\{[^}]*\}/g, '…'), level] as const];
  });
}

function endOfCall(source: string, from: number): number {
  let depth = 1;
  let at = from;
  for (; depth > 0 && at < source.length; at += 1) {
    if (source[at] === '(') depth += 1;
    if (source[at] === ')') depth -= 1;
  }
  return at - 1;
}

function allLogged(): ReadonlyMap<string, ReadonlySet<string>> {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
  const found = new Map<string, Set<string>>();
  for (const file of files.filter((name) => name.endsWith('.ts'))) {
    for (const [message, level] of loggedIn(readFileSync(join(ROOT, 'src', file), 'utf8'))) {
      found.set(message, (found.get(message) ?? new Set()).add(level));
    }
  }
  return found;
}

describe('docs/logs.md', () => {
  it('has every field of the line of a decision, and no other', async () => {
    const fields = new Set<string>();
    const reviews: readonly (readonly [unknown, Parameters<typeof loadedGuard>[0]?])[] = [
      [deleteReview('etcd-0')],
      [deleteReview('etcd-1', { dryRun: true })],
      [deleteReview('web-0')],
      [evictionReview('etcd-0'), { pods: PODS, policy: { handOff: ['Evictions'] } }],
    ];
    for (const [review, guard = { pods: PODS }] of reviews) {
      const handle = createReviewHandler({
        turns: new Turns(systemClock),
        guards: sourceOf(new FakeEtcd(PODS), loadedGuard(guard)),
        recorder: new Recorder('test'),
        log: createLogger('debug', {
          write: (line) => {
            const logged: unknown = JSON.parse(line);
            for (const field of Object.keys(Object(logged))) fields.add(field);
          },
        }),
        announce: () => undefined,
        nowMs: () => Date.now(),
        monotonicMs: () => performance.now(),
      });
      await handle(review, { timeoutMs: 10_000, arrivedAtMs: performance.now() });
    }
    const documented = rowsOf('One line a decision').flatMap(([cell]) => quoted(cell));
    expect([...fields].toSorted()).toStrictEqual(
      [...documented, 'level', 'time', 'msg'].toSorted(),
    );
  });

  const logged = allLogged();
  const rows = rowsOf('Other lines').map(([messages, levels = '']) => ({
    messages: quoted(messages),
    levels: levels.split(/\W+/),
  }));

  /** These have a section of their own. */
  const decisions = new Set(['decided', 'could not decide']);

  it('names the lines about decisions', () => {
    for (const message of decisions) expect(DOCS).toContain(`\`${message}\``);
  });

  test.each([...logged].filter(([message]) => !decisions.has(message)))(
    'names the line `%s`, with its level',
    (message, levels) => {
      const row = rows.find(({ messages }) => messages.includes(message));
      expect(row?.levels).toStrictEqual(expect.arrayContaining([...levels]));
    },
  );

  it('names no line that there is not', () => {
    const documented = rows.flatMap(({ messages }) => messages);
    expect(documented.filter((message) => !logged.has(message))).toStrictEqual([]);
  });
});
