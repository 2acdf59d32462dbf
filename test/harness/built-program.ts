import { execa } from 'execa';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { temporaryDirectory } from './reaper.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The program's main.js, built from the sources as they are. */
    readonly program: string;
  }
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Builds the program once a run, into a directory of its own: dist/ may be rebuilt by somebody else
 * while the tests run.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await temporaryDirectory('etcd-guard-build');
  await execa('rolldown', ['--config', 'rolldown.config.ts', '--dir', directory.path], {
    cwd: ROOT,
    preferLocal: true,
    env: { PATH: `${join(ROOT, 'node_modules', '.bin')}:${process.env['PATH'] ?? ''}` },
  });
  project.provide('program', join(directory.path, 'main.js'));
  return () => directory.remove();
}
