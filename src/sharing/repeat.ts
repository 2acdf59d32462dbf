/** Something that goes on until it is stopped. */
export interface Repeating {
  stop(): void;
}

/** Looks again and again, with this pause before each look; keeps no process alive. No look may reject. */
export function repeatedly(look: () => Promise<void>, pauseMs: number): Repeating {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  function schedule(): void {
    if (stopped) return;
    timer = setTimeout(() => void look().then(schedule), pauseMs);
    timer.unref();
  }
  schedule();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
