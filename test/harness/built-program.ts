import { execa } from 'execa';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { temporaryDirectory, type TemporaryDirectory } from './reaper.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The program's main.js, built from the sources as they are. */
    readonly program: string;
  }
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Builds the program into a directory of its own: dist/ may be rebuilt by somebody else while the
 * tests run.
 */
export async function buildProgram(): Promise<TemporaryDirectory & { readonly program: string }> {
  const directory = await temporaryDirectory('etcd-guard-build');
  await execa('rolldown', ['--config', 'rolldown.config.ts', '--dir', directory.path], {
    cwd: ROOT,
    preferLocal: true,
    env: { PATH: `${join(ROOT, 'node_modules', '.bin')}:${process.env['PATH'] ?? ''}` },
  });
  return { ...directory, program: join(directory.path, 'main.js') };
}

/** Once a run, for all projects that ask for it. */
export async function setup({ vitest }: TestProject): Promise<(() => Promise<void>) | undefined> {
  const root = vitest.getRootProject();
  if ('program' in root.getProvidedContext()) return undefined;
  const built = await buildProgram();
  root.provide('program', built.program);
  return () => built.remove();
}
