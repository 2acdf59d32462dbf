/** What the API server allows a webhook that names no timeout. */
const DEFAULT_TIMEOUT_MS = 10_000;

/** The most that a webhook configuration may ask for (timeoutSeconds: 30). */
const MAX_TIMEOUT_MS = 30_000;

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

const DURATION = /^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/;
const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;

/** Reads a positive Go duration (`1m30s`, `500ms`) as milliseconds; null for anything else. */
export function parseGoDuration(text: string): number | null {
  if (text.length > 64 || !DURATION.test(text)) return null;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(PART)) {
    total += Number(amount) * (UNIT_MS[unit ?? ''] ?? Number.NaN);
  }
  return total > 0 && Number.isFinite(total) ? total : null;
}

let lastUrl = '';
let lastTimeoutMs = DEFAULT_TIMEOUT_MS;

/** The time a caller allows, from the `timeout` in a request's URL; 10 s when it is unreadable or missing. */
export function timeoutOf(url: string): number {
  // An API server asks with the same URL every time.
  if (url !== lastUrl) {
    lastTimeoutMs = readTimeout(url);
    lastUrl = url;
  }
  return lastTimeoutMs;
}

function readTimeout(url: string): number {
  const start = url.indexOf('?');
  if (start < 0) return DEFAULT_TIMEOUT_MS;
  const text = new URLSearchParams(url.slice(start + 1)).get('timeout');
  const timeoutMs = text === null ? null : parseGoDuration(text);
  return timeoutMs === null ? DEFAULT_TIMEOUT_MS : Math.min(timeoutMs, MAX_TIMEOUT_MS);
}
