import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ANNOUNCED } from '../../src/admission/announce.ts';

const PAGE = new URL('../../docs/events.md', import.meta.url);

it('docs/events.md has every reason that is announced, with its type, and no other', () => {
  const rows = readFileSync(PAGE, 'utf8').matchAll(
    /^\| (?<reasons>\w[\w, ]*) \| (?<type>Normal|Warning) \|/gm,
  );
  const documented = [...rows].flatMap(({ groups }) =>
    (groups?.['reasons'] ?? '').split(', ').map((reason) => `${reason} ${groups?.['type']}`),
  );
  const announced = Object.entries(ANNOUNCED).map(([reason, type]) => `${reason} ${type}`);
  expect(documented.sort()).toStrictEqual(announced.sort());
});
