import { pino, type DestinationStream, type Logger } from 'pino';

/** Levels that `--log-level` takes. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** One of `LOG_LEVELS`. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** JSON lines on stdout, or wherever `to` leads; errors are logged by code and message, never with a stack. */
export function createLogger(level: LogLevel, to?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: describeError },
  };
  return to === undefined ? pino(options) : pino(options, to);
}

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? { code: String(error.code) } : {};
  return { name: error.name, message: error.message, ...code };
}

export type { Logger } from 'pino';
