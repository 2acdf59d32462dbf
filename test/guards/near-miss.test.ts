import { expect, it } from 'vitest';
import { distanceBetween, hintFor } from '../../src/guards/near-miss.ts';

it.each([
  ['spec', 'selctor', ' (did you mean selector?)'],
  ['spec.policy', 'handoff', ' (did you mean handOff?)'],
  ['spec.members.auth', 'secretName', ' (in files: usernameFile, passwordFile)'],
  ['spec.policy', 'leeway', ''],
  ['spec.members', 'pot', ''],
  ['spec.elsewhere', 'selector', ''],
])('of %s, %s', (place, field, hint) => {
  expect(hintFor(place, field)).toBe(hint);
});

it('counts letters', () => {
  expect(distanceBetween('', 'abc')).toBe(3);
  expect(distanceBetween('selctor', 'selector')).toBe(1);
  expect(distanceBetween('same', 'same')).toBe(0);
});
