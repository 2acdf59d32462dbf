import type { ExplainConfig } from '../../config.ts';
import { distanceBetween } from '../../guards/near-miss.ts';
import type { Streams } from '../streams.ts';
import { table } from '../table.ts';
import { wrap } from '../text.ts';
import { EXPLAINED, EXPLANATIONS, type Explanation } from './reasons.ts';

const WIDTH = 100;
const NEAR = 3;

/** `etcd-guard explain`; gives the exit code. */
export function explain({ reason }: ExplainConfig, { out, err, terminal }: Streams): number {
  const width = Math.min(terminal?.size().columns ?? WIDTH, WIDTH);
  if (reason === null) {
    out(overview(width));
    return 0;
  }
  const found = EXPLANATIONS.filter((one) => one.reason.toLowerCase() === reason.toLowerCase());
  if (found.length > 0) {
    out(found.map((one) => page(one, width)).join('\n'));
    return 0;
  }
  const near = nearTo(reason);
  const hint = near.length === 0 ? '' : `; did you mean ${near.join(' or ')}?`;
  err(`etcd-guard: no reason is called '${reason}'${hint}\n`);
  err('Try: etcd-guard explain\n');
  return 2;
}

function overview(width: number): string {
  const columns = [{ title: 'REASON' }, { title: 'WHAT BECOMES OF THE REQUEST', wraps: true }];
  const rows = EXPLANATIONS.map(({ reason, outcome }) => [reason, outcome]);
  return `${table(columns, rows, width)}\netcd-guard explain REASON says what it means and what to do.\n`;
}

function page({ reason, outcome, means, next }: Explanation, width: number): string {
  const lines = [
    ...wrap(`${reason}: ${outcome}`, width),
    '',
    ...wrap(means, width),
    '',
    'What to do',
    ...next.flatMap((step) =>
      wrap(step, width - 4).map((line, at) => `${at === 0 ? '  - ' : '    '}${line}`),
    ),
  ];
  return `${lines.join('\n')}\n`;
}

/** Those that it is a part of, or that are a few letters away. */
function nearTo(given: string): readonly string[] {
  const word = given.toLowerCase();
  const most = Math.max(2, Math.floor(word.length / 3));
  return EXPLAINED.map((reason) => {
    const other = reason.toLowerCase();
    const part = word.length > 2 && (other.includes(word) || word.includes(other));
    return { reason, distance: part ? 0 : distanceBetween(word, other) };
  })
    .filter(({ distance }) => distance <= most)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, NEAR)
    .map(({ reason }) => reason);
}
