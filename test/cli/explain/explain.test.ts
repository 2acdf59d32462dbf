import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { ANNOUNCED } from '../../../src/admission/announce.ts';
import { explain } from '../../../src/cli/explain/explain.ts';
import { GATE_STATES } from '../../../src/cli/explain/gate-states.ts';
import { LOCK_STATES } from '../../../src/cli/explain/lock-states.ts';
import { EXPLAINED, EXPLANATIONS } from '../../../src/cli/explain/reasons.ts';
import { STATES, TROUBLES } from '../../../src/cli/explain/states.ts';
import { REASONS } from '../../../src/decision/situation.ts';
import { said } from '../said.ts';

const DOCS = new URL('../../../docs/reasons.md', import.meta.url);

const INTRODUCTION = `# Reasons

<!-- Made from src/cli/explain/reasons.ts by UPDATE_DOCS=1 npx vitest run --project unit test/cli/explain -->

What each reason means that answers, Events, conditions, metrics and logs give, and what to do about it.
On the command line: \`etcd-guard explain REASON\`. [decision.md](decision.md) has the rules themselves.`;

function page(): string {
  const parts = EXPLAINED.flatMap((reason) => [
    `## ${reason}`,
    ...EXPLANATIONS.filter((one) => one.reason === reason).flatMap(({ outcome, means, next }) => [
      `_${outcome}_`,
      means,
      next.map((step) => `- ${step}`).join('\n'),
    ]),
  ]);
  return `${[INTRODUCTION, ...parts].join('\n\n')}\n`;
}

it('docs/reasons.md says the same', async () => {
  if (process.env['UPDATE_DOCS']) await writeFile(DOCS, page());
  expect(await readFile(DOCS, 'utf8')).toBe(page());
});

const OPERATING = new URL('../../../docs/operating.md', import.meta.url);
const TABLE = /\| REASON \| what it says \| what to do \|\n(\|.*\n)+/;

function reasonTable(): string {
  const rows = TROUBLES.map(
    ({ reason, outcome, means, next }) =>
      `| ${reason} | **${outcome.replace(/ \(.*$/, '')}**: ${means} | ${next.join(' ')} |`,
  );
  return ['| REASON | what it says | what to do |', '|---|---|---|', ...rows, ''].join('\n');
}

it('docs/operating.md has the same of the column REASON', async () => {
  const text = await readFile(OPERATING, 'utf8');
  if (process.env['UPDATE_DOCS'])
    await writeFile(
      OPERATING,
      text.replace(TABLE, () => reasonTable()),
    );
  expect(TABLE.exec(await readFile(OPERATING, 'utf8'))?.[0]).toBe(reasonTable());
});

const LOCKS = new URL('../../../docs/locks.md', import.meta.url);

it('docs/locks.md has a line for each reason why a lock holds less than it looks', async () => {
  const [, table = ''] =
    /^\| condition \| not True \|.*\n((?:\|.*\n)+)/m.exec(await readFile(LOCKS, 'utf8')) ?? [];
  const rows = [...table.matchAll(/^\|[^|]*\| `(\w+)` \|/gm)].map(([, reason]) => reason);
  const fine = new Set(['Accepted', 'Warns', 'Enforced', 'Counted']);
  expect(new Set(rows)).toEqual(
    new Set(LOCK_STATES.map(({ reason }) => reason).filter((one) => !fine.has(one))),
  );
});

it('knows every reason that a condition of an ExclusiveLock can have, and no other', async () => {
  const texts = await Promise.all(
    ['lock-findings', 'lock-scope'].map((file) =>
      readFile(new URL(`../../../src/kubernetes/locks/${file}.ts`, import.meta.url), 'utf8'),
    ),
  );
  const words = Array.from(texts.join('\n').matchAll(/'([A-Z][A-Za-z]+)'/g), ([, word]) => word);
  const others = new Set(['True', 'False', 'Warn', 'ServiceAccount', 'Exists', 'In']);
  expect(new Set(words.filter((word) => word !== undefined && !others.has(word)))).toEqual(
    new Set(LOCK_STATES.map(({ reason }) => reason)),
  );
});

it('knows every reason that a condition of an EtcdGuard can have, and no other', async () => {
  const files = [
    'guards/guard-status',
    'kubernetes/status/spec-acceptance',
    'kubernetes/guards/protection',
  ];
  const texts = await Promise.all(
    files.map((file) => readFile(new URL(`../../../src/${file}.ts`, import.meta.url), 'utf8')),
  );
  const found = texts
    .join('\n')
    .matchAll(/(?:reason: (?:whole \? )?|refused\(|reason \?\? )'(?<reason>[A-Z]\w+)'/g);
  const reasons = new Set(Array.from(found, ({ groups }) => groups?.['reason']));
  expect(reasons).toEqual(new Set(STATES.map(({ reason }) => reason)));
});

it('knows every reason that the condition of the readiness gate can have, and no other', async () => {
  const code = new URL('../../../src/kubernetes/injection/in-sync.ts', import.meta.url);
  const found = (await readFile(code, 'utf8')).matchAll(/(?:reason: |\? |: )'([A-Z]\w+)'/g);
  expect(new Set(Array.from(found, ([, word]) => word))).toEqual(
    new Set(GATE_STATES.map(({ reason }) => reason)),
  );
});

const INJECTION = new URL('../../../docs/injection.md', import.meta.url);

it('docs/injection.md has a line for each of them', async () => {
  const [, table = ''] =
    /^\| status \| reason \| the member \|\n\|---.*\n((?:\|.*\n)+)/m.exec(
      await readFile(INJECTION, 'utf8'),
    ) ?? [];
  const rows = table.split('\n').flatMap((row) => row.split('|')[2]?.trim().split(', ') ?? []);
  expect(rows.toSorted()).toEqual(GATE_STATES.map(({ reason }) => reason).toSorted());
});

describe('every reason', () => {
  it.each([...REASONS, 'BadRequest', 'InternalError', ...Object.keys(ANNOUNCED)])(
    '%s is explained, however it is written',
    (reason) => {
      const { streams, out, err } = said();
      expect(explain({ command: 'explain', reason: reason.toLowerCase() }, streams)).toBe(0);
      expect(err()).toBe('');
      expect(out()).toMatch(new RegExp(`^${reason}: .+\n\n.+\n(.+\n)*\nWhat to do\n  - .+`));
    },
  );

  it('stands in the list, once, or once for each thing that it is said of', () => {
    const { streams, out } = said();
    expect(explain({ command: 'explain', reason: null }, streams)).toBe(0);
    const listed = out()
      .split('\n')
      .slice(1)
      .map((line) => line.split(' ')[0]);
    expect(listed.slice(0, REASONS.length)).toEqual(REASONS);
    const times = Map.groupBy(EXPLANATIONS, ({ reason }) => reason);
    const several = [...times].filter(([, all]) => all.length > 1);
    expect(Object.fromEntries(several.map(([reason, all]) => [reason, all.length]))).toEqual({
      NotAMember: 2,
      Learner: 2,
      NamespaceNotLabelled: 2,
      WebhookNotRegistered: 2,
      NoLeader: 2,
      Accepted: 2,
    });
    expect(EXPLAINED).toEqual([...times.keys()]);
  });

  it('that a verdict and a pod’s condition have in common is explained for both', () => {
    const { streams, out } = said();
    expect(explain({ command: 'explain', reason: 'Learner' }, streams)).toBe(0);
    expect(out()).toMatch(
      /^Learner: allowed\n[^]+\n\nLearner: the pod is not Ready \(condition etcd-guard.io\/InSync\)\n/,
    );
  });

  it('that guards and locks have in common is explained for both', () => {
    const { streams, out } = said();
    expect(explain({ command: 'explain', reason: 'NamespaceNotLabelled' }, streams)).toBe(0);
    expect(out()).toMatch(
      /^NamespaceNotLabelled: .+ \(status of an EtcdGuard\)\n[^]+\n\nNamespaceNotLabelled: .+ \(status of an ExclusiveLock\)\n/,
    );
  });

  it('is a sentence or more, and fits a narrow terminal', () => {
    for (const { reason, means, next } of EXPLANATIONS) {
      const texts = [means, ...next];
      expect(texts.filter((text) => !/^([A-Z]|etcd).*[.>)"\w-]$/.test(text))).toEqual([]);
      const { streams, out } = said(40);
      explain({ command: 'explain', reason }, streams);
      expect(
        Math.max(
          ...out()
            .split('\n')
            .map(({ length }) => length),
        ),
      ).toBeLessThanOrEqual(40);
    }
  });
});

describe('what is no reason', () => {
  it.each([
    ['QuorumRisk', ' did you mean QuorumAtRisk or QuorumLost?'],
    ['leader', ' did you mean LeaderProtected or LeadershipMoved or NoLeader?'],
    ['Spard', ' did you mean Spared?'],
  ])('%s: the near ones are named', (reason, hint) => {
    const { streams, out, err } = said();
    expect(explain({ command: 'explain', reason }, streams)).toBe(2);
    expect(out()).toBe('');
    expect(err()).toBe(
      `etcd-guard: no reason is called '${reason}';${hint}\nTry: etcd-guard explain\n`,
    );
  });

  it('may be near none', () => {
    const { streams, err } = said();
    expect(explain({ command: 'explain', reason: 'xyzzy' }, streams)).toBe(2);
    expect(err()).toBe("etcd-guard: no reason is called 'xyzzy'\nTry: etcd-guard explain\n");
  });
});
