import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A shell that is told what this process has started and made, and clears it away when
 * its stdin ends. That happens however this process goes, also by SIGKILL, which is how a
 * test runner ends a worker that hangs, so that neither exit handlers nor signal handlers
 * are needed here.
 */
const SCRIPT = `
trap '' INT TERM HUP
pids=' '
while read -r what value; do
  case $what in
    started) pids="$pids$value " ;;
    ended) case $pids in *" $value "*) pids="\${pids%% $value *} \${pids#* $value }" ;; esac ;;
    made) set -- "$@" "$value" ;;
  esac
done
for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done
for directory; do
  for attempt in 1 2 3 4 5; do rm -rf "$directory" 2>/dev/null && break; sleep 0.2; done
done
`;

let current: ChildProcess | undefined;

function tell(line: string): void {
  current ??= startReaper();
  current.stdin?.write(`${line}\n`);
}

function startReaper(): ChildProcess {
  // A session of its own: Ctrl-C on the terminal must not end it first.
  const reaper = spawn('/bin/sh', ['-c', SCRIPT, 'reaper'], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  });
  reaper.unref();
  reaper.on('error', () => {});
  // Otherwise the pipe, a socket to Node, would keep this process alive.
  if (reaper.stdin instanceof Socket) reaper.stdin.unref();
  reaper.stdin.on('error', () => {});
  return reaper;
}

/** The process is ended, by its id, should it outlive this one. */
export function reapProcess(pid: number): void {
  tell(`started ${pid}`);
}

/** The process has ended: its id may soon be someone else's. */
export function forgetProcess(pid: number): void {
  tell(`ended ${pid}`);
}

/** Clears everything away now, and resolves when that is done: for a program that is interrupted. */
export async function reapEverything(): Promise<void> {
  const reaper = current;
  current = undefined;
  if (reaper === undefined) return;
  const ended = once(reaper, 'exit');
  reaper.ref();
  reaper.stdin?.end();
  await ended;
}

export interface TemporaryDirectory {
  readonly path: string;
  remove(): Promise<void>;
}

/** A fresh directory that is removed by `remove`, or when this process ends. */
export async function temporaryDirectory(prefix: string): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(tmpdir(), `${prefix}-`));
  tell(`made ${path}`);
  // A process that was just killed may still write its last file: hence the retries.
  return {
    path,
    remove: () => rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }),
  };
}
