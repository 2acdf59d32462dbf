import { expect, it } from 'vitest';
import { longestFirst } from './longest-first.ts';

it('begins with what has the most to do, whichever project it is of', () => {
  const files = [
    { project: 'e2e', bytes: 5_000 },
    { project: 'e2e', bytes: 40_000 },
    { project: 'integration', bytes: 8_000 },
    { project: 'integration', bytes: 30_000 },
  ];
  expect(longestFirst(files)).toStrictEqual([
    { project: 'e2e', bytes: 40_000 },
    { project: 'integration', bytes: 30_000 },
    { project: 'integration', bytes: 8_000 },
    { project: 'e2e', bytes: 5_000 },
  ]);
});
