import { columnsOf } from '../result.ts';
import type { Spent } from './spent.ts';

const SHOWN = 20;

/** The parts, and the functions that take most. */
export function profileText(title: string, spent: Spent, count: number): string {
  const table = (heading: string, times: ReadonlyMap<string, number>, shown: number): string => {
    const lines = [...times]
      .toSorted(([, a], [, b]) => b - a)
      .slice(0, shown)
      .map(([name, time]) => [
        `${((time / spent.busy) * 100).toFixed(1)} %`,
        `${(time / count).toFixed(1)} µs`,
        name,
      ]);
    return columnsOf([['share', 'each', heading], ...lines]);
  };
  return [
    `${title}\n${(spent.busy / count).toFixed(0)} µs of busy time for each.`,
    table('part', spent.byPart, Infinity),
    table('function, itself', spent.self, SHOWN),
    table('function, with what it calls', spent.inclusive, SHOWN),
    '',
  ].join('\n\n');
}
