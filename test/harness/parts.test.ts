import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { incomplete, lackOf, NEEDS } from './parts.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const FILES = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => join('test', file))
  .sort();

/** What a file says of the parts that it needs, and how it says so. */
const SAYS: readonly (readonly [RegExp, string])[] = [
  [/requireBinary\('kube-apiserver'/, 'kubernetes'],
  [/\.startControllerManager\(/, 'kube-controller-manager'],
  [/\bcurrentKubectl\(/, 'current kubectl'],
  [/\bnewerEtcd\(/, 'newer etcd'],
  [/\bearlier(Program|File)\(/, 'history'],
  [/requirePlatform\('linux'\)/, 'linux'],
  [/requirePlatform\('linux', 'x64'\)/, 'linux on x64'],
];
/** Of the names that requireBinary is given: bash is everywhere, the others come with kube-apiserver. */
const NO_PARTS = new Set(['bash', 'kube-apiserver', 'kube-controller-manager', 'kubectl']);

function textOf(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

/** The file and all of test/ that it imports, directly or not; imports of types need nothing. */
function withImports(file: string, found = new Set<string>()): ReadonlySet<string> {
  if (found.has(file)) return found;
  found.add(file);
  const imports = textOf(file).matchAll(/^(?:import|export) (?!type )[^;]*?'(\.[^']+\.ts)'/gm);
  for (const [, path = ''] of imports) {
    const target = relative(ROOT, resolve(ROOT, dirname(file), path));
    if (target.startsWith('test/')) withImports(target, found);
  }
  return found;
}

function neededBy(file: string): readonly string[] {
  const texts = [...withImports(file)].map(textOf);
  const programs = texts.flatMap((text) =>
    [...text.matchAll(/requireBinary\('([^']+)'/g)].map(([, name = '']) => name),
  );
  const parts = SAYS.filter(([pattern]) => texts.some((text) => pattern.test(text)));
  const all = [...programs.filter((name) => !NO_PARTS.has(name)), ...parts.map(([, p]) => p)];
  return [...new Set(all)].sort();
}

function needing(files: readonly string[]): Readonly<Record<string, readonly string[]>> {
  const needs = files.map((file) => [file, neededBy(file)] as const);
  return Object.fromEntries(needs.filter(([, parts]) => parts.length > 0));
}

function isOfProcesses(file: string): boolean {
  return /^test\/(integration|e2e)\//.test(file);
}

describe('the table of parts', () => {
  test('is what the files of integration and e2e ask for', () => {
    const table = Object.entries(NEEDS).map(([file, parts]) => [file, parts.toSorted()] as const);
    expect(Object.fromEntries(table)).toEqual(needing(FILES.filter(isOfProcesses)));
  });

  test('has nothing for other tests, which need no parts', () => {
    // This one names parts without asking for them.
    const own = relative(ROOT, import.meta.filename);
    const others = FILES.filter((file) => !isOfProcesses(file) && file !== own);
    expect(others.length).toBeGreaterThan(100);
    expect(needing(others)).toEqual({});
  });

  test('can be held to the files: programs that tests need are asked for by name', () => {
    const unnamed = FILES.filter((file) => isOfProcesses(file))
      .flatMap((file) => [...withImports(file)])
      .filter((file) => /(?<!function )requireBinary\((?!')/.test(textOf(file)));
    // It puts what every system has into a PATH of its own.
    expect([...new Set(unnamed)]).toEqual(['test/integration/deploy-scripts.test.ts']);
  });
});

function noTerminal(part: string): Promise<string | undefined> {
  return Promise.resolve(['tmux', 'fish'].includes(part) ? `no ${part}` : undefined);
}

describe('without a part', () => {
  test('a file that needs it is left out, and all that it lacks is named', async () => {
    expect([...(await incomplete('test/integration/', noTerminal))]).toEqual([
      ['test/integration/commands.test.ts', 'no tmux. no fish'],
      ['test/integration/leader-change.test.ts', 'no tmux'],
      ['test/integration/terminal.test.ts', 'no tmux'],
    ]);
    expect([...(await incomplete('test/e2e/', noTerminal))]).toEqual([]);
  });

  test('each part is looked for once, and what several lack in one is said once', async () => {
    const asked: string[] = [];
    const files = await incomplete('test/e2e/', (part) => {
      asked.push(part);
      return Promise.resolve(part.startsWith('kube') ? 'no Kubernetes' : undefined);
    });
    expect(new Set(asked).size).toBe(asked.length);
    expect(files.get('test/e2e/controllers.test.ts')).toBe('no Kubernetes');
  });

  test('it is said what provides it', async () => {
    expect(await lackOf('no-such-program')).toBe('no-such-program is not installed');
    expect(await lackOf('sh')).toBeUndefined();
  });
});
