import { expect, it } from 'vitest';
import type { StatusSource } from '../../../src/cli/status/shown.ts';
import { watch } from '../../../src/cli/status/watch.ts';
import { until } from '../../harness/until.ts';

it('tells once of what keeps it from looking, however often it tries', async () => {
  let looks = 0;
  const source: StatusSource = {
    namespace: 'default',
    async look() {
      looks += 1;
      throw new Error('the API server does not answer');
    },
    close: () => undefined,
  };
  const stop = new AbortController();
  const said: string[] = [];
  const streams = {
    out: () => undefined,
    err: (text: string) => void said.push(text),
    terminal: null,
    ask: null,
    stop: stop.signal,
  };
  const watching = watch({ source, first: [] }, 'json', streams);
  await until('it has looked twice', async () => looks >= 2);
  stop.abort();
  await watching;
  expect(said).toEqual(['etcd-guard: the API server does not answer\n']);
});
