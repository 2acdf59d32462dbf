import { pino, type DestinationStream, type Logger } from 'pino';

/** Levels that `--log-level` takes. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** One of `LOG_LEVELS`. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * Lines of JSON; errors are logged by code and message, never with a stack. Where they go is always
 * told: pino's own way to stdout tries for ever at exit once nobody reads it any more.
 */
export function createLogger(level: LogLevel, to: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: describeError },
  };
  return pino(options, to);
}

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? { code: String(error.code) } : {};
  return { name: error.name, message: error.message, ...code };
}

export type { DestinationStream, Logger } from 'pino';
