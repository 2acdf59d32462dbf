import { createServer } from 'node:http';
import { expect, it } from 'vitest';
import { EventStreams } from '../../src/page/event-streams.ts';
import { decisionTable, guardSummary } from '../../src/page/page.ts';
import { guardPage, readQuery } from '../../src/page/query.ts';
import { listen, send } from '../server/client.ts';

it('ends a stream that can no longer be shown, and nothing else', async () => {
  const query = readQuery(new URLSearchParams());
  const guards = guardPage([], query);
  let shown = 0;
  const streams = new EventStreams({
    content() {
      shown += 1;
      if (shown > 1) throw new Error('it can not be shown');
      const [summary, decisions] = [guardSummary(guards), decisionTable([], 0)];
      return { query, guards, cards: [], summary, decisions };
    },
    seen: () => null,
    freshen: () => undefined,
    onChanged: () => () => undefined,
  });
  const server = createServer((request, response) => streams.open(request, response, query));
  const port = await listen(server);
  // What is thrown by a timer would fail this run, as it would end the program.
  await expect(
    send({ port, path: '/events', method: 'GET', headers: {} }, 'http'),
  ).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect(shown).toBe(2);
  streams.stop();
  server.close();
});
