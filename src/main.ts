#!/usr/bin/env node
import packageJson from '../package.json' with { type: 'json' };
import type { Streams } from './cli/streams.ts';
import { parseConfig, type Config } from './config.ts';

const EXIT_USAGE = 2;
/** For `check` 1 means denied: whoever could not be asked is "can't be judged". */
const EXIT_INTERNAL = { serve: 1, other: 3 };
const OLDEST_NODE = 24;

/** Each command is loaded only when it is asked for: `serve` should be ready at once. */
async function run(config: Config, streams: Streams): Promise<number> {
  const environment = process.env;
  switch (config.command) {
    case 'serve':
      return (await import('./cli/serve/serve.ts')).serve(config, {
        streams,
        version: packageJson.version,
        environment,
      });
    case 'status':
      return (await import('./cli/status/status.ts')).status(config, { streams, environment });
    case 'check':
      return (await import('./cli/check/check.ts')).check(config, { streams, environment });
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

/** What an older Node says instead names a missing export. */
function oldNode(): number | null {
  if (Number.parseInt(process.versions.node, 10) >= OLDEST_NODE) return null;
  process.stderr.write(
    `etcd-guard: needs Node ${OLDEST_NODE} or newer, this is ${process.version}; npm ci puts one into node_modules/.bin\n`,
  );
  return EXIT_USAGE;
}

function processStreams(): Streams {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    // A second signal finds no listener and ends the process at once.
    process.once(signal, () => stop.abort());
  }
  // Piped into head: whoever reads has had enough.
  process.stdout.on('error', () => process.exit(0));
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    terminal: process.stdout.isTTY,
    stop: stop.signal,
  };
}

// gRPC sets the TLS server name to an IP address where a member has no other: not the user's concern.
process.noDeprecation = true;

const config = parseConfig(process.argv.slice(2));
try {
  process.exitCode = oldNode() ?? (await run(config, processStreams()));
} catch (error) {
  process.stderr.write(`etcd-guard: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = config.command === 'serve' ? EXIT_INTERNAL.serve : EXIT_INTERNAL.other;
}
// Connections to etcd members that hang must not keep a finished command alive.
process.stdout.write('', () => process.exit());
