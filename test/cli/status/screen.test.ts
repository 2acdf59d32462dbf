import { describe, expect, it } from 'vitest';
import { openScreen, type Line } from '../../../src/cli/status/screen.ts';
import type { Terminal } from '../../../src/cli/streams.ts';
import { said } from '../said.ts';

const LEAVE = '\u001B[?25h\u001B[?1049l';

function terminal(columns: number, rows: number, color = true): Terminal & { resize(): void } {
  let resized: (() => void) | null = null;
  return {
    color,
    size: () => ({ columns, rows }),
    onResized(run) {
      resized = run;
      return () => {
        resized = null;
      };
    },
    resize: () => resized?.(),
  };
}

function lines(...texts: readonly string[]): () => readonly Line[] {
  return () => texts.map((text) => ({ text }));
}

function alert(): readonly Line[] {
  return [{ text: 'LEADER CHANGED', look: 'alert' }];
}

describe('a screen', () => {
  it('is another than the one with the scrollback, which it never clears', () => {
    const { streams, out } = said();
    const screen = openScreen(streams, terminal(20, 5), lines('one', 'two'));
    screen.draw();
    screen.close();
    expect(out()).toBe(
      `\u001B[?1049h\u001B[?25l\u001B[H\u001B[2Kone\r\n\u001B[2Ktwo\r\n\u001B[J${LEAVE}`,
    );
    expect(out()).not.toContain('[3J');
  });

  it('shows what fits, and says that there is more', () => {
    const { streams, out } = said();
    const screen = openScreen(streams, terminal(12, 3), lines('a long line of words', 'b', 'c'));
    screen.draw();
    screen.close();
    expect(out()).toContain(
      '\u001B[2Ka long line\r\n\u001B[2Kof words\r\n\u001B[2K\u001B[2m... 2 more l\u001B[0m',
    );
  });

  it('is without colours where they are not wanted, but not without words', () => {
    const { streams, out } = said();
    openScreen(streams, terminal(80, 3, false), alert).draw();
    expect(out()).toContain('\u001B[2KLEADER CHANGED\r\n');
  });

  it('is drawn anew when the size changes, and given back at once when the program is to stop', () => {
    const { streams, out, stop } = said();
    const one = terminal(20, 5);
    const screen = openScreen(streams, one, lines('one'));
    one.resize();
    expect(out().match(/one/g)).toHaveLength(1);
    stop.abort();
    expect(out().endsWith(LEAVE)).toBe(true);
    const before = out();
    one.resize();
    screen.draw();
    screen.close();
    expect(out()).toBe(before);
  });
});
