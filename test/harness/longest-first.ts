import { stat } from 'node:fs/promises';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** How long a file takes for its size: those of e2e also start an API server, and wait for it. */
const WEIGHTS: Readonly<Record<string, number>> = { integration: 1, e2e: 1.5 };

/** A file of tests, as far as its place in a run depends on it. */
export interface Sized {
  readonly project: string;
  readonly bytes: number;
}

/**
 * What has the most to do first, whichever of the two projects it is of: what begins last is short then,
 * and no process waits long for the last one. Files say it well enough by their size, on every machine.
 */
export function longestFirst<T extends Sized>(files: readonly T[]): readonly T[] {
  const weight = ({ project, bytes }: Sized): number => bytes * (WEIGHTS[project] ?? 1);
  return files.toSorted((one, other) => weight(other) - weight(one));
}

/** Vitest's own runs one project after the other, so that the longest of the second begin late. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const sized = await Promise.all(
      sorted.filter(isTogether).map(async (file) => {
        const { size } = await stat(file.moduleId);
        return { file, project: file.project.name, bytes: size };
      }),
    );
    return [
      ...sorted.filter((file) => !isTogether(file)),
      ...longestFirst(sized).map(({ file }) => file),
    ];
  }
}

function isTogether({ project }: TestSpecification): boolean {
  return Object.hasOwn(WEIGHTS, project.name);
}
