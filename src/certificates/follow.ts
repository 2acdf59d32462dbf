import type { CertificateKeeper } from './keeper.ts';

/** A keeper that is at work. */
export interface Keeping {
  stop(): void;
}

const AFTER_FAULT_MS = 5_000;

/** Has the keeper look now, and again whenever it wants to; `onFault` hears of what should never be. */
export function keepLooking(
  keeper: Pick<CertificateKeeper, 'look'>,
  onFault: (error: unknown) => void,
): Keeping {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  async function look(): Promise<void> {
    const pauseMs = await keeper.look().catch((error: unknown) => {
      onFault(error);
      return AFTER_FAULT_MS;
    });
    if (!stopped) timer = setTimeout(() => void look(), pauseMs);
  }
  void look();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
