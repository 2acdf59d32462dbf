/**
 * Runs once, with the reason, when the first of the signals aborts, at once if one has. Call what it
 * returns when that is of no more interest: unlike `AbortSignal.any`, it then leaves nothing behind
 * at a signal that outlives thousands of requests.
 */
export function onAbort(
  signals: readonly AbortSignal[],
  run: (reason: unknown) => void,
): () => void {
  const listener = (event: Event): void => {
    forget();
    run(event.target instanceof AbortSignal ? event.target.reason : undefined);
  };
  const forget = (): void => {
    for (const signal of signals) signal.removeEventListener('abort', listener);
  };
  const aborted = signals.find((signal) => signal.aborted);
  if (aborted === undefined) {
    for (const signal of signals) signal.addEventListener('abort', listener);
  } else {
    run(aborted.reason);
  }
  return forget;
}

/** Waits no longer than the signal; what the promise gives later is dropped. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const forget = onAbort([signal], reject);
  return Promise.race([promise, aborted]).finally(forget);
}
