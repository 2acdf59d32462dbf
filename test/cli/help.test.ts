import { describe, expect, it } from 'vitest';
import { helpText } from '../../src/cli/help.ts';
import { commandShapes } from '../../src/config.ts';

const COMMANDS = commandShapes();

describe.each(COMMANDS)('help of $name', ({ name, options }) => {
  const text = helpText(name);
  /** Those that begin a line, as they stand there. */
  const described = text.matchAll(/^ {2,6}(?:-(\w), |)--([-a-z]+)/gm);

  it('describes every option that is taken, with its letter, and no other', () => {
    const inHelp = Array.from(described, ([, short, option]) => `--${option} ${short ?? ''}`);
    const taken = options
      .filter((option) => option.name !== 'help')
      .map((option) => `--${option.name} ${option.short ?? ''}`);
    expect([...inHelp].sort()).toEqual(taken.sort());
  });

  it('names every value of a closed set', () => {
    for (const { values } of options) for (const value of values) expect(text).toContain(value);
  });

  it('is told apart from the overview, which names it', () => {
    expect(text).toMatch(new RegExp(`^Usage: etcd-guard ${name}\\b`));
    expect(helpText(null)).toMatch(new RegExp(`^  etcd-guard ${name}\\b`, 'm'));
  });
});

it.each([null, ...COMMANDS.map(({ name }) => name)])('of %s fits a hundred columns', (topic) => {
  expect(
    helpText(topic)
      .split('\n')
      .filter((line) => line.length > 100),
  ).toEqual([]);
});
