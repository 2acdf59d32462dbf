import { describe, expect, it } from 'vitest';
import { createLogger } from '../../src/telemetry/logger.ts';
import { prettyLog } from '../../src/telemetry/pretty-log.ts';

function logged(color: boolean, work: (log: ReturnType<typeof createLogger>) => void): string {
  let text = '';
  const to = prettyLog((line) => (text += line), { color });
  work(createLogger('debug', to));
  return text;
}

describe('a log for people', () => {
  it('is a line with time, level, message and fields', () => {
    const text = logged(false, (log) =>
      log.info({ pod: 'etcd-0', guard: null, message: 'etcd-0 leads', durationMs: 1.5 }, 'decided'),
    );
    expect(text).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} INFO {2}decided pod=etcd-0 guard=null message="etcd-0 leads" durationMs=1\.5\n$/,
    );
  });

  it('is coloured by its level', () => {
    expect(logged(true, (log) => log.warn('careful'))).toContain(
      '\u001B[33mWARN \u001B[0m careful',
    );
  });

  it('stays one line, whatever a field or message holds', () => {
    const text = logged(false, (log) =>
      log.error({ err: new Error('a\nb\u001B[2J'), user: 'x\u202Ey=z' }, 'could\nnot'),
    );
    expect(text.split('\n')).toHaveLength(2);
    expect(text).not.toContain('\u001B');
    expect(text).not.toContain('\u202E');
    expect(text).toContain('ERROR could not err=');
  });
});
