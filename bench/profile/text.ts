import { columnsOf } from '../result.ts';
import type { Spent } from './spent.ts';

const SHOWN = 20;

/** The parts, and the functions that take most. */
export function profileText(title: string, spent: Spent, answers: number): string {
  const table = (heading: string, times: ReadonlyMap<string, number>, shown: number): string => {
    const lines = [...times]
      .toSorted(([, a], [, b]) => b - a)
      .slice(0, shown)
      .map(([name, time]) => [
        `${((time / spent.busy) * 100).toFixed(1)} %`,
        `${(time / answers).toFixed(1)} µs`,
        name,
      ]);
    return columnsOf([['share', 'each answer', heading], ...lines]);
  };
  return [
    `${title}\n${(spent.busy / answers).toFixed(0)} µs of busy time an answer, the profiler's own included.`,
    table('part', spent.byPart, Infinity),
    table('function, itself', spent.self, SHOWN),
    table('function, with what it calls', spent.inclusive, SHOWN),
    '',
  ].join('\n\n');
}
