import { setTimeout as delay } from 'node:timers/promises';

export interface UntilOptions {
  readonly timeoutMs?: number;
  readonly intervalMs?: number;
  /** Ends the wait early, with the signal's reason. */
  readonly signal?: AbortSignal;
}

type Probe<T> = () => Promise<T | undefined | false> | T | undefined | false;

/**
 * Polls until the probe gives something other than undefined or false, and returns that.
 * A probe that throws counts as "not yet", and its last error is the cause of the
 * timeout's; one that hangs does not outlast the deadline.
 */
export async function until<T>(
  what: string,
  probe: Probe<T>,
  { timeoutMs = 15_000, intervalMs = 50, signal }: UntilOptions = {},
): Promise<T> {
  const done = new AbortController();
  const giveUp = AbortSignal.any([done.signal, ...(signal === undefined ? [] : [signal])]);
  let cause: unknown;
  const attempt = async (): Promise<T | undefined | false> => {
    try {
      const result = await probe();
      cause = undefined;
      return result;
    } catch (error) {
      cause = error;
      return undefined;
    }
  };
  const polling = async (): Promise<T> => {
    for (;;) {
      giveUp.throwIfAborted();
      const result = await attempt();
      if (result !== undefined && result !== false) return result;
      await delay(intervalMs, undefined, { signal: giveUp });
    }
  };
  const deadline = async (): Promise<never> => {
    await delay(timeoutMs, undefined, { signal: giveUp });
    throw new Error(`${what}: not within ${timeoutMs} ms`, { cause });
  };
  try {
    return await Promise.race([polling(), deadline()]);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    done.abort();
  }
}
