import { setTimeout as delay } from 'node:timers/promises';
import type { StatusConfig } from '../../config.ts';
import type { Streams, Terminal } from '../streams.ts';
import { plain } from '../text.ts';
import { changesBetween, Leaders } from './changes.ts';
import { asDocuments } from './documents.ts';
import { openScreen, type Line } from './screen.ts';
import type { AllShown } from './shown.ts';
import { allTables } from './tables.ts';

const WATCH_EVERY_MS = 1_000;
/** Between two looks, however long they take. */
const PAUSE_MS = 100;
/** Of this a member is waited for three quarters of a second: one that hangs holds up no picture. */
const WATCH_TIMEOUT_MS = 2_500;
/** Only a write tells that nobody reads any more, as behind `head`. */
const SIGN_OF_LIFE_MS = 10_000;

/** What is watched, and the first look at it. */
export interface Watching {
  /** etcd is given the time that a review of that many milliseconds would have. */
  readonly look: (timeoutMs: number) => Promise<AllShown>;
  readonly first: AllShown;
}

/** Goes on until the program is asked to stop; an API server that is away for a while does not end it. */
export async function watch(
  watching: Watching,
  output: StatusConfig['output'],
  streams: Streams,
): Promise<void> {
  const { terminal } = streams;
  if (output !== 'table') return watchDocuments(watching, output, streams);
  if (terminal === null) return watchLines(watching, streams);
  return watchScreen(watching, terminal, streams);
}

/** A look, or why there is none. */
type Looked =
  | { readonly shown: AllShown; readonly trouble?: never }
  | { readonly trouble: string; readonly shown?: never };

/** Every second another look, while anybody wants one. */
async function* looks(look: Watching['look'], { stop }: Streams): AsyncGenerator<Looked, void> {
  let pauseMs = WATCH_EVERY_MS;
  for (;;) {
    await delay(pauseMs, undefined, { signal: stop }).catch(() => undefined);
    if (stop.aborted) return;
    const sinceMs = performance.now();
    try {
      yield { shown: await look(WATCH_TIMEOUT_MS) };
    } catch (error) {
      yield { trouble: plain(error instanceof Error ? error.message : String(error)) };
    }
    pauseMs = Math.max(PAUSE_MS, sinceMs + WATCH_EVERY_MS - performance.now());
  }
}

async function watchScreen(
  { look, first }: Watching,
  terminal: Terminal,
  streams: Streams,
): Promise<void> {
  const leaders = new Leaders();
  let last = { shown: first, at: new Date() };
  let trouble: string | null = null;
  leaders.observe(first.guards, performance.now());
  const screen = openScreen(streams, terminal, () => linesOf(last, trouble, { leaders, terminal }));
  try {
    screen.draw();
    for await (const looked of looks(look, streams)) {
      trouble = looked.trouble ?? null;
      if (looked.shown !== undefined) {
        last = { shown: looked.shown, at: new Date() };
        leaders.observe(looked.shown.guards, performance.now());
      }
      screen.draw();
    }
  } finally {
    screen.close();
  }
}

function linesOf(
  { shown, at }: { readonly shown: AllShown; readonly at: Date },
  trouble: string | null,
  { leaders, terminal }: { readonly leaders: Leaders; readonly terminal: Terminal },
): readonly Line[] {
  const { columns } = terminal.size();
  const text = allTables(shown, columns);
  return [
    { text: `Refreshed ${clockTime(at)}, Ctrl-C ends`, look: 'faint' },
    ...(trouble === null ? [] : [alert(`NOT REFRESHED since: ${trouble}`)]),
    ...leaders.news(performance.now()).map(alert),
    { text: '' },
    ...text
      .trimEnd()
      .split('\n')
      .map((line) => ({ text: line })),
  ];
}

function alert(text: string): Line {
  return { text, look: 'alert' };
}

/** `15:04:05Z` */
function clockTime(at: Date): string {
  return `${at.toISOString().slice(11, 19)}Z`;
}

/** For logs and pipes: all of it once, then a line for each change. */
async function watchLines({ look, first }: Watching, streams: Streams): Promise<void> {
  let last = first;
  let trouble = '';
  let writtenAtMs = performance.now();
  streams.out(allTables(first));
  for await (const looked of looks(look, streams)) {
    const time = new Date().toISOString();
    if (looked.shown === undefined) {
      if (looked.trouble !== trouble) streams.err(`etcd-guard: ${time} ${looked.trouble}\n`);
      trouble = looked.trouble;
      continue;
    }
    trouble = '';
    const changes = changesBetween(last, looked.shown);
    last = looked.shown;
    if (changes.length === 0 && performance.now() - writtenAtMs < SIGN_OF_LIFE_MS) continue;
    writtenAtMs = performance.now();
    const lines = changes.length === 0 ? ['no change'] : changes;
    streams.out(lines.map((line) => `${time} ${line}\n`).join(''));
  }
}

/** Another document for each change, one a second at most; an empty line between two is no part of either. */
async function watchDocuments(
  { look, first }: Watching,
  output: Exclude<StatusConfig['output'], 'table'>,
  streams: Streams,
): Promise<void> {
  let last = withoutTimes(first);
  let writtenAtMs = performance.now();
  let told = '';
  streams.out(asDocuments(first, output));
  for await (const { shown, trouble = '' } of looks(look, streams)) {
    if (trouble !== told && trouble !== '') streams.err(`etcd-guard: ${trouble}\n`);
    told = trouble;
    if (shown === undefined) continue;
    const now = withoutTimes(shown);
    if (now === last && performance.now() - writtenAtMs < SIGN_OF_LIFE_MS) continue;
    const text =
      now === last ? '\n' : `${output === 'yaml' ? '---\n' : ''}${asDocuments(shown, output)}`;
    await notBefore(writtenAtMs + WATCH_EVERY_MS, streams.stop, () => streams.out(text));
    writtenAtMs = performance.now();
    last = now;
  }
}

/** Runs it at that time, or while the program is being asked to stop, which may leave no time after it. */
async function notBefore(timeMs: number, stop: AbortSignal, run: () => void): Promise<void> {
  const leftMs = timeMs - performance.now();
  if (leftMs <= 0 || stop.aborted) {
    run();
    return;
  }
  await new Promise<void>((resolve) => {
    const now = (): void => {
      clearTimeout(timer);
      stop.removeEventListener('abort', now);
      run();
      resolve();
    };
    const timer = setTimeout(now, leftMs);
    stop.addEventListener('abort', now);
  });
}

/** A condition's time is that of the look where nobody has written it down. */
function withoutTimes({ guards, locks }: AllShown): string {
  return JSON.stringify(
    [...guards, ...locks].map(({ item }) => item),
    (key, value: unknown) => (key === 'lastTransitionTime' ? undefined : value),
  );
}
