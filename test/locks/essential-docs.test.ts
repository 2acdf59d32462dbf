import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ESSENTIALS } from '../../src/locks/essential.ts';

test('docs/locks.md names everything that passes always, in that order, and nothing else', () => {
  const page = readFileSync(new URL('../../docs/locks.md', import.meta.url), 'utf8');
  const [, section = ''] = /^## What passes always$(.*?)^## /ms.exec(page) ?? [];
  const rows = [...section.matchAll(/^\| `(?<id>[\w-]+)`\s*\| (?<why>.*?)\s*\|$/gm)];
  expect(rows.map(({ groups }) => ({ ...groups }))).toEqual(
    ESSENTIALS.map(({ id, why }) => ({ id, why })),
  );
});
