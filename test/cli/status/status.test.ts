import { expect, it } from 'vitest';
import type { StatusSource } from '../../../src/cli/status/shown.ts';
import { lookAtAll } from '../../../src/cli/status/status.ts';
import { shownLock } from './shown-lock.ts';

function sourceWith(more: Partial<StatusSource>) {
  const asked: (number | undefined)[] = [];
  const source: StatusSource = {
    namespace: 'default',
    async look(timeoutMs) {
      asked.push(timeoutMs);
      return [];
    },
    close: () => undefined,
    ...more,
  };
  return { source, asked };
}

it('looks at the locks beside the guards, each time anew', async () => {
  const found = [[], [shownLock()]];
  const { source, asked } = sourceWith({ locks: async () => found.shift() ?? [] });
  const at = { name: null };
  expect(await lookAtAll(source, at)).toEqual({ guards: [], locks: [] });
  expect(await lookAtAll(source, at, 2_500)).toEqual({ guards: [], locks: [shownLock()] });
  expect(asked).toEqual([undefined, 2_500]);
});

it('has no locks beside guards from files', async () => {
  const { source } = sourceWith({});
  expect(await lookAtAll(source, { name: null })).toEqual({ guards: [], locks: [] });
});

it('asks for no locks where one guard is wanted', async () => {
  const { source } = sourceWith({ locks: () => Promise.reject(new Error('asked for locks')) });
  expect(await lookAtAll(source, { name: 'etcd' })).toEqual({ guards: [], locks: [] });
});

it('fails where the locks can’t be read', async () => {
  const { source } = sourceWith({ locks: () => Promise.reject(new Error('no answer')) });
  await expect(lookAtAll(source, { name: null })).rejects.toThrow('no answer');
});
