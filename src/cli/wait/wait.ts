import { setTimeout as delay } from 'node:timers/promises';
import type { WaitConfig } from '../../config.ts';
import { usageExit, UsageError } from '../backend.ts';
import { openChecks } from '../check/checks.ts';
import type { Surroundings } from '../streams.ts';
import { plain } from '../text.ts';
import { openHealth } from './health.ts';

/** How far it is, in words for whoever waits. */
export interface Progress {
  readonly reached: boolean;
  readonly words: string;
}

/** What is waited for. */
export interface Condition {
  /** Rejects if nobody can be asked. */
  look(): Promise<Progress>;
  close(): void;
}

const POLL_MS = 500;

/** `etcd-guard wait`; resolves with the exit code. */
export async function wait(config: WaitConfig, around: Surroundings): Promise<number> {
  const { streams } = around;
  try {
    const condition = await open(config, around);
    try {
      return await waitFor(condition, config, around);
    } finally {
      condition.close();
    }
  } catch (error) {
    return usageExit(error, streams);
  }
}

function open(config: WaitConfig, around: Surroundings): Promise<Condition> {
  return config.condition === 'healthy'
    ? openHealth(config, around)
    : openDeletable(config, around);
}

/** Looks at once, also without any time, and says what is missing whenever that has changed. */
async function waitFor(
  condition: Condition,
  { pod, condition: goal, timeoutMs }: WaitConfig,
  { streams }: Surroundings,
): Promise<number> {
  const endsAtMs = performance.now() + timeoutMs;
  const timeUp = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)));
  let said = '';
  for (;;) {
    const looking = look(condition);
    const progress = timeoutMs === 0 ? await looking : await unless(timeUp, looking);
    if (progress?.reached === true) {
      streams.out(`${progress.words}\n`);
      return 0;
    }
    if (progress !== null && progress.words !== said) {
      said = progress.words;
      streams.err(`etcd-guard: waiting: ${said}\n`);
    }
    const leftMs = endsAtMs - performance.now();
    if (leftMs <= 0) {
      streams.err(`etcd-guard: ${pod} was not ${goal} within ${timeoutMs / 1_000} s\n`);
      return 1;
    }
    await delay(Math.min(POLL_MS, leftMs));
  }
}

/** An API server that is away for a while is one more thing to wait for. */
async function look(condition: Condition): Promise<Progress> {
  try {
    const { reached, words } = await condition.look();
    return { reached, words: plain(words) };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    return { reached: false, words: plain(error instanceof Error ? error.message : String(error)) };
  }
}

/** null: the time was up first. */
async function unless<T>(timeUp: AbortSignal, looking: Promise<T>): Promise<T | null> {
  const { promise, resolve } = Promise.withResolvers<null>();
  const end = (): void => resolve(null);
  timeUp.addEventListener('abort', end);
  if (timeUp.aborted) end();
  try {
    return await Promise.race([looking, promise]);
  } finally {
    timeUp.removeEventListener('abort', end);
  }
}

/** A delete would be allowed, and not only because the policy lets go what can't be judged. */
async function openDeletable(config: WaitConfig, around: Surroundings): Promise<Condition> {
  const { pod } = config;
  const checks = await openChecks(config, around);
  return {
    async look() {
      // Which way it was asked matters to nobody who waits.
      const { namespace, finding } = await checks.ask({ pod, operation: 'delete', note: () => {} });
      if (finding === null) {
        return { reached: false, words: `there is no pod ${pod} in namespace ${namespace} now` };
      }
      const { decision, reason, message } = finding;
      const reached = decision === 'allow' && reason !== 'Unverifiable';
      return { reached, words: `${decision}${reason === null ? '' : ` (${reason})`}: ${message}` };
    },
    close: () => checks.close(),
  };
}
