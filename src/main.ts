#!/usr/bin/env node
import { createInterface } from 'node:readline/promises';
import packageJson from '../package.json' with { type: 'json' };
import type { Streams, Terminal } from './cli/streams.ts';
import { parseConfig, type Config } from './config.ts';

const EXIT_USAGE = 2;
/** For `check` 1 means denied: whoever could not be asked is "can't be judged". */
const EXIT_INTERNAL = { serve: 1, other: 3 };
/** What it is tested with. 26 takes no IP as a TLS server name, which is what grpc-js gives it. */
const NODE = 24;
/** What shells give for a program that a signal has ended. */
const EXIT_BY_SIGNAL = { SIGINT: 130, SIGTERM: 143 } as const;

/** Each command is loaded only when it is asked for: `serve` should be ready at once. */
async function run(config: Config, streams: Streams): Promise<number> {
  const environment = process.env;
  const around = { streams, environment };
  switch (config.command) {
    case 'serve':
      return (await import('./cli/serve/serve.ts')).serve(config, {
        ...around,
        version: packageJson.version,
      });
    case 'status':
      return (await import('./cli/status/status.ts')).status(config, around);
    case 'check':
      return (await import('./cli/check/check.ts')).check(config, around);
    case 'wait':
      return (await import('./cli/wait/wait.ts')).wait(config, around);
    case 'handoff':
      return (await import('./cli/handoff/handoff.ts')).handOff(config, around);
    case '__complete':
      return (await import('./cli/completion/complete.ts')).complete(config, around);
    default:
      return runAlone(config, streams);
  }
}

type Alone = Exclude<
  Config,
  { command: 'serve' | 'status' | 'check' | 'wait' | 'handoff' | '__complete' }
>;

/** Commands that ask nobody. */
async function runAlone(config: Alone, streams: Streams): Promise<number> {
  switch (config.command) {
    case 'explain':
      return (await import('./cli/explain/explain.ts')).explain(config, streams);
    case 'completion':
      streams.out((await import('./cli/completion/scripts.ts')).completionScript(config.shell));
      return 0;
    case 'version':
      streams.out(`etcd-guard ${packageJson.version}\n`);
      return 0;
    case 'help':
      streams.out((await import('./cli/help.ts')).helpText(config.topic));
      return 0;
    case 'invalid': {
      for (const problem of config.problems) streams.err(`etcd-guard: ${problem}\n`);
      const help = config.topic === null ? '--help' : `${config.topic} --help`;
      streams.err(`Try: etcd-guard ${help}\n`);
      return EXIT_USAGE;
    }
  }
}

/** What an older Node says instead names a missing export, and a newer one fails only when it asks. */
function otherNode(): number | null {
  if (Number.parseInt(process.versions.node, 10) === NODE) return null;
  process.stderr.write(
    `etcd-guard: needs Node ${NODE}, this is ${process.version}; npm ci puts one into node_modules/.bin\n`,
  );
  return EXIT_USAGE;
}

function processStreams({ command }: Config): Streams {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    // A second signal finds no listener and ends the process at once.
    process.once(signal, () => {
      const code = EXIT_BY_SIGNAL[signal];
      stop.abort(code);
      // These have something to put in order first; the others did so while they heard of it.
      if (command !== 'serve' && command !== 'handoff') process.exit(code);
    });
  }
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    terminal: process.stdout.isTTY && process.env['TERM'] !== 'dumb' ? terminal() : null,
    ask: process.stdin.isTTY && process.stderr.isTTY ? (question) => ask(question, stop) : null,
    stop: stop.signal,
  };
}

function terminal(): Terminal {
  const { stdout } = process;
  return {
    color: (process.env['NO_COLOR'] ?? '') === '',
    size: () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 }),
    onResized(redraw) {
      stdout.on('resize', redraw);
      return () => stdout.off('resize', redraw);
    },
  };
}

/** On stderr, as stdout may be kept; null at the end of the input, too. */
async function ask(question: string, stop: AbortController): Promise<string | null> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // A terminal in raw mode makes no signal of Ctrl-C.
  lines.once('SIGINT', () => stop.abort(EXIT_BY_SIGNAL.SIGINT));
  const { promise: ended, resolve } = Promise.withResolvers<null>();
  lines.once('close', () => resolve(null));
  try {
    return await Promise.race([lines.question(question, { signal: stop.signal }), ended]);
  } catch (error) {
    if (stop.signal.aborted) return null;
    throw error;
  } finally {
    lines.close();
  }
}

/** Whoever reads has had enough, as `head` has. */
function endWithReader(config: Config): void {
  process.stdout.on('error', () => {
    // Any other command is about to end, and its exit code is its answer.
    if (config.command === 'status' && config.watch) process.exit(0);
  });
  process.stderr.on('error', () => undefined);
}

// gRPC sets the TLS server name to an IP address where a member has no other: not the user's concern.
process.noDeprecation = true;

const config = parseConfig(process.argv.slice(2));
endWithReader(config);
try {
  process.exitCode = otherNode() ?? (await run(config, processStreams(config)));
} catch (error) {
  process.stderr.write(`etcd-guard: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = config.command === 'serve' ? EXIT_INTERNAL.serve : EXIT_INTERNAL.other;
}
// Connections to etcd members that hang must not keep a finished command alive.
process.stdout.write('', () => process.exit());
