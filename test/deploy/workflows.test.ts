import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import packageJson from '../../package.json' with { type: 'json' };
import { ROOT } from './manifests.ts';

const FOLDER = join(ROOT, '.github/workflows');

const permissionsSchema = z.record(z.string(), z.enum(['read', 'write']));
const stepSchema = z.looseObject({
  uses: z.string().optional(),
  run: z.string().optional(),
  with: z.record(z.string(), z.unknown()).default({}),
});
const jobSchema = z.looseObject({
  'runs-on': z.string(),
  'timeout-minutes': z.number().max(60),
  needs: z.union([z.string().transform((one) => [one]), z.array(z.string())]).default([]),
  permissions: permissionsSchema.optional(),
  steps: z.array(stepSchema).min(1),
});
const workflowSchema = z.looseObject({
  name: z.string(),
  on: z.record(z.string(), z.unknown()),
  permissions: permissionsSchema,
  jobs: z.record(z.string(), jobSchema),
});

const workflows = readdirSync(FOLDER).map((file) => {
  const text = readFileSync(join(FOLDER, file), 'utf8');
  const { jobs, ...rest } = workflowSchema.parse(parse(text));
  const steps = Object.values(jobs).flatMap((job) => job.steps);
  return { file, text, jobs, steps, runs: steps.flatMap(({ run }) => run ?? []), ...rest };
});

function workflow(file: string): (typeof workflows)[number] {
  const found = workflows.find((one) => one.file === file);
  if (found === undefined) throw new Error(`no workflow ${file}`);
  return found;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const ciMatrixSchema = z.looseObject({
  strategy: z.object({ matrix: z.object({ parts: z.array(z.string()) }) }).loose(),
});
const pathsSchema = z.object({ paths: z.array(z.string()) });

describe.each(workflows)('the workflow $file', ({ text, jobs, steps, runs, permissions }) => {
  test('names scripts that are there and can be run', () => {
    const named = [...runs.join('\n').matchAll(/\bscripts\/[\w./-]+/g)].map(([path]) => path);
    expect(named.filter((path) => !isProgram(join(ROOT, path)))).toEqual([]);
  });

  test("runs package.json's own scripts", () => {
    const named = [...runs.join('\n').matchAll(/npm run (?:--\S+ )*([\w:-]+)/g)];
    const unknown = named
      .map(([, name = '']) => name)
      .filter((name) => !(name in packageJson.scripts));
    expect(unknown).toEqual([]);
  });

  test('pins every action by commit, with its tag beside it', () => {
    const uses = text.split('\n').filter((line) => /^\s*(- )?uses:/.test(line));
    expect(uses).toHaveLength(steps.filter((step) => step.uses !== undefined).length);
    for (const line of uses) {
      expect(line).toMatch(/uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    }
  });

  test('puts nothing that others can write into a shell', () => {
    expect(runs.filter((run) => run.includes('${{'))).toEqual([]);
  });

  test('checks out without leaving its token behind', () => {
    for (const step of steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'))) {
      expect(step.with['persist-credentials']).toBe(false);
    }
  });

  test('has the Node that package.json pins', () => {
    for (const step of steps.filter(({ uses }) => uses?.startsWith('actions/setup-node@'))) {
      expect(step.with['node-version']).toBe(packageJson.devDependencies.node);
    }
  });

  test('waits for jobs that it has', () => {
    const needed = Object.values(jobs).flatMap(({ needs }) => needs);
    expect(needed.filter((name) => !(name in jobs))).toEqual([]);
  });

  test('gives no rights to all of its jobs but to read', () => {
    expect(Object.values(permissions).filter((right) => right !== 'read')).toEqual([]);
  });
});

describe('the workflows', () => {
  test('use one commit of each action', () => {
    const actions = new Map<string, Set<string>>();
    for (const { text } of workflows) {
      for (const [, name = '', version = ''] of text.matchAll(/uses: ([^@\s]+)@(.*)/g)) {
        actions.set(name, (actions.get(name) ?? new Set()).add(version));
      }
    }
    expect(actions.size).toBeGreaterThan(5);
    expect([...actions].filter(([, versions]) => versions.size > 1)).toEqual([]);
  });

  test('run each part of scripts/test.sh once', () => {
    const { strategy } = ciMatrixSchema.parse(workflow('ci.yml').jobs['test']);
    const script = readFileSync(join(ROOT, 'scripts/test.sh'), 'utf8');
    const all = /\|\| parts='([^']*)'/.exec(script)?.[1]?.trim().split(' ');
    expect(strategy.matrix.parts.flatMap((parts) => parts.split(' ')).toSorted()).toEqual(
      all?.toSorted(),
    );
  });

  test('fetch the history where the tests run an earlier revision', () => {
    const { steps } = workflow('ci.yml').jobs['test'] ?? { steps: [] };
    const checkout = steps.find(({ uses }) => uses?.startsWith('actions/checkout@'));
    expect(checkout?.with['fetch-depth']).toBe(0);
  });

  test('run the demo for changes of files that are there', () => {
    const { paths } = pathsSchema.parse(workflow('e2e-minikube.yml').on['pull_request']);
    const absent = paths.filter((path) => !existsSync(join(ROOT, path.replace('/**', ''))));
    expect(absent).toEqual([]);
  });

  test('let only the two last jobs of a release write, and each only what it has to', () => {
    const rights = workflows.flatMap(({ file, jobs }) =>
      Object.entries(jobs).flatMap(([name, { permissions = {} }]) =>
        Object.entries(permissions)
          .filter(([, right]) => right === 'write')
          .map(([what]) => `${file} ${name} ${what}`),
      ),
    );
    expect(rights.toSorted()).toEqual([
      'release.yml image id-token',
      'release.yml image packages',
      'release.yml release contents',
    ]);
    // A package's install script would have those rights, too.
    const { jobs } = workflow('release.yml');
    const privileged = [jobs['image'], jobs['release']].flatMap((job) => job?.steps ?? []);
    expect(privileged.filter(({ run }) => /\bnp[mx] /.test(run ?? ''))).toEqual([]);
  });
});

test('Renovate keeps the Node of package.json, the image and the workflows together', () => {
  const renovate: unknown = JSON.parse(readFileSync(join(ROOT, '.github/renovate.json'), 'utf8'));
  const [major] = packageJson.devDependencies.node.split('.');
  expect(renovate).toMatchObject({
    packageRules: expect.arrayContaining([
      expect.objectContaining({
        matchDepNames: ['node', 'docker.io/library/node'],
        allowedVersions: `^${major}`,
      }),
    ]),
  });
});
