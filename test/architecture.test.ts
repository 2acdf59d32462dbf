import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const SRC = resolve(import.meta.dirname, '../src');

/** What each folder may import besides itself: the tree is the architecture, and imports point inwards. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  decision: [],
  sharing: [],
  etcd: ['decision', 'sharing'],
  telemetry: ['decision', 'etcd'],
  admission: ['decision', 'sharing', 'etcd', 'telemetry'],
  guards: ['decision', 'sharing', 'etcd', 'admission'],
  kubernetes: ['decision', 'sharing', 'etcd', 'admission', 'guards', 'locks', 'injection'],
  locks: ['admission', 'guards'],
  injection: ['admission'],
  tracing: ['etcd', 'admission'],
  server: ['sharing', 'admission'],
  page: ['decision', 'admission', 'guards'],
  certificates: ['kubernetes', 'server'],
  config: ['server', 'telemetry'],
  'config.ts': ['config'],
  cli: [
    'tracing',
    'decision',
    'sharing',
    'etcd',
    'telemetry',
    'admission',
    'guards',
    'kubernetes',
    'locks',
    'injection',
    'server',
    'page',
    'certificates',
    'config.ts',
  ],
  'main.ts': ['cli', 'config.ts'],
};

/** Of folders that do I/O, outer ones may use only these files: ports, and what is as pure as they are. */
const PORTS_ONLY: Readonly<Record<string, RegExp>> = {
  etcd: /^etcd\/(port|connect)\.ts$/,
};

function filesOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((f) =>
    f.endsWith('.ts'),
  );
}

interface Import {
  readonly file: string;
  readonly target: string;
}

function imports(): readonly Import[] {
  return filesOf(SRC).flatMap((file) => {
    const text = readFileSync(join(SRC, file), 'utf8');
    const found = text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g);
    return [...found].map(([, path]) => ({
      file,
      target: relative(SRC, resolve(SRC, dirname(file), path ?? '')),
    }));
  });
}

function place(file: string): string {
  return file.split('/')[0] ?? file;
}

/** The folder within a folder of src. */
function part(file: string): string {
  return file.split('/')[1] ?? '';
}

describe('the layout of src', () => {
  test('has no folder or file that is not placed', () => {
    expect([...new Set(filesOf(SRC).map(place))].sort()).toEqual(Object.keys(MAY_IMPORT).sort());
  });

  test('imports point inwards only', () => {
    const wrong = imports().filter(({ file, target }) => {
      const [from, to] = [place(file), place(target)];
      return from !== to && !target.startsWith('..') && !MAY_IMPORT[from]?.includes(to);
    });
    expect(wrong).toEqual([]);
  });

  test('etcd is used through its port, and connected to only by the commands', () => {
    const wrong = imports().filter(({ file, target }) => {
      const ports = PORTS_ONLY[place(target)];
      if (ports === undefined || place(file) === place(target)) return false;
      if (target === 'etcd/connect.ts') return place(file) !== 'cli';
      return !ports.test(target);
    });
    expect(wrong).toEqual([]);
  });

  test('within kubernetes, guards build on the API, and status and Events on guards', () => {
    const below: Readonly<Record<string, readonly string[]>> = {
      api: [],
      guards: ['api'],
      injection: ['api', 'guards'],
      status: ['api', 'guards', 'injection'],
      locks: ['api', 'guards', 'status'],
      events: ['api', 'guards'],
    };
    const wrong = imports().filter(({ file, target }) => {
      if (place(file) !== 'kubernetes' || place(target) !== 'kubernetes') return false;
      return part(file) !== part(target) && !below[part(file)]?.includes(part(target));
    });
    expect(wrong).toEqual([]);
  });

  test('within config, a command knows nothing of another, nor of them all', () => {
    const wrong = imports().filter(
      ({ file, target }) =>
        place(file) === 'config' &&
        /^config[./]/.test(target) &&
        !/^config\/(command|meant|values)\.ts$/.test(target),
    );
    expect(wrong).toEqual([]);
  });

  test('certificates use the API server through its port, know a certificate as the server does, and are told the time', () => {
    const wrong = imports().filter(
      ({ file, target }) =>
        place(file) === 'certificates' &&
        !/^(certificates\/.*|kubernetes\/api\/api|server\/certificate)\.ts$/.test(target),
    );
    expect(wrong).toEqual([]);
    for (const file of filesOf(join(SRC, 'certificates'))) {
      expect(readFileSync(join(SRC, 'certificates', file), 'utf8'), `in ${file}`).not.toMatch(
        /Date\.now|new Date\(\)|performance\.|Math\.random/,
      );
    }
  });

  test('the decision knows no library, clock or environment', () => {
    for (const file of filesOf(join(SRC, 'decision'))) {
      const text = readFileSync(join(SRC, 'decision', file), 'utf8');
      expect(text, `in ${file}`).not.toMatch(/from '(?!\.\/)/);
      expect(text, `in ${file}`).not.toMatch(
        /Date\.now|new Date\(\)|process\.|performance\.|Math\.random/,
      );
    }
  });

  test('only main.ts reads the environment and ends the process', () => {
    for (const file of filesOf(SRC)) {
      if (file === 'main.ts') continue;
      expect(readFileSync(join(SRC, file), 'utf8'), `in ${file}`).not.toMatch(
        /process\.(env|exit|argv)/,
      );
    }
  });
});
