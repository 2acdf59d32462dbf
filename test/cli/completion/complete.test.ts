import { expect, it } from 'vitest';
import { complete } from '../../../src/cli/completion/complete.ts';
import { said } from '../said.ts';

async function candidates(line: string): Promise<readonly string[]> {
  const { streams, out } = said();
  const words = line.split(' ');
  await complete({ command: '__complete', words }, { streams, environment: {} });
  return out().trimEnd().split('\n').slice(0, -1);
}

it.each([
  ['status -o=', ['-o=table', '-o=json', '-o=yaml', '-o=name']],
  ['status -o=y', ['-o=yaml']],
  // As bash takes it apart.
  ['status -o = y', ['-o=yaml']],
  ['status -o =', ['-o=table', '-o=json', '-o=yaml', '-o=name']],
  ['check etcd-0 -o=t', ['-o=text']],
  ['status -w=', []],
  ['status -x=', []],
  ['status -n=shop -o=n', ['-o=name']],
  ['status -o y', ['yaml']],
  ['explain -h Spar', ['Spared']],
])('behind %j stands one of %j', async (line, expected) => {
  expect(await candidates(line)).toEqual(expected);
});

it('takes letters that stand together for no word', async () => {
  expect(await candidates('status -Aw --vi')).toEqual(['--via']);
  expect(await candidates('explain -hh Spar')).toEqual(['Spared']);
});
