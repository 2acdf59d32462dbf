import type { Streams } from '../../src/cli/streams.ts';

/** Streams that remember what was written; with a width, a terminal. */
export function said(columns: number | null = null) {
  const written = { out: '', err: '' };
  const stop = new AbortController();
  const streams: Streams = {
    out: (text) => {
      written.out += text;
    },
    err: (text) => {
      written.err += text;
    },
    terminal:
      columns === null
        ? null
        : {
            color: true,
            size: () => ({ columns, rows: 10 }),
            onResized: () => () => undefined,
          },
    ask: null,
    stop: stop.signal,
  };
  return { streams, stop, out: () => written.out, err: () => written.err };
}
