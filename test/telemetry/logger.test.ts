import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createLogger, linesOfTurn } from '../../src/telemetry/logger.ts';

describe('lines of a turn', () => {
  it('are written together, in order, once the turn has done everything else', async () => {
    const done: string[] = [];
    const { to } = linesOfTurn((text) => void done.push(text));
    to.write('one\n');
    await Promise.resolve();
    to.write('two\n');
    done.push('the answer');
    await setImmediate();
    expect(done).toEqual(['the answer', 'one\ntwo\n']);
  });

  it('are written in turn after turn', async () => {
    const done: string[] = [];
    const { to } = linesOfTurn((text) => void done.push(text));
    for (const line of ['one\n', 'two\n']) {
      to.write(line);
      await setImmediate();
    }
    expect(done).toEqual(['one\n', 'two\n']);
  });

  it('are written at once when the process ends, and only once', async () => {
    const done: string[] = [];
    const { to, flush } = linesOfTurn((text) => void done.push(text));
    createLogger('info', to).info('the last');
    flush();
    expect(done).toEqual([expect.stringContaining('"the last"')]);
    await setImmediate();
    expect(done).toHaveLength(1);
  });
});
