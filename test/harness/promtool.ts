import { execa } from 'execa';
import { requireBinary } from './require-binary.ts';

export interface PromtoolVerdict {
  readonly ok: boolean;
  /** What promtool found wrong, or said otherwise. */
  readonly output: string;
}

/** `promtool check metrics` on the text of a /metrics page. */
export async function checkMetrics(exposition: string): Promise<PromtoolVerdict> {
  return promtool(['check', 'metrics'], exposition);
}

/** `promtool check rules` on files of rules. */
export async function checkRules(...files: readonly string[]): Promise<PromtoolVerdict> {
  return promtool(['check', 'rules', ...files]);
}

/** `promtool check config` on a configuration, and on the files of rules that it names. */
export async function checkConfig(file: string): Promise<PromtoolVerdict> {
  return promtool(['check', 'config', file]);
}

/** `promtool test rules` on files of rule tests. */
export async function testRules(...files: readonly string[]): Promise<PromtoolVerdict> {
  return promtool(['test', 'rules', ...files]);
}

async function promtool(args: readonly string[], input = ''): Promise<PromtoolVerdict> {
  const result = await execa(requireBinary('promtool'), args, { input, reject: false, all: true });
  // `check metrics` exits with 3 for mere style, which is a finding here all the same.
  return { ok: result.exitCode === 0, output: result.all };
}
