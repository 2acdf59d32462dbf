import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/harness/longest-first.ts';
import { leaveOutIncomplete } from './test/harness/parts.ts';

/** Tests that search at random for what nobody thought of. */
const MODEL = [
  'test/decision/{naive,properties,simulation}.test.ts',
  'test/**/*-races.test.ts',
  'test/fuzz/**/*.test.ts',
  'test/model/*.test.ts',
];

// One less than there are processors, as by default, is half of them where there are two.
const ALL = '100%';

/** Of integration and e2e together, whose tests wait more than they work. */
const PROCESSES = { maxWorkers: 4, sequence: { groupOrder: 1 } };

/**
 * unit: no process, no socket but loopback ones of the test itself; seconds. model: as unit, but
 * they take as long as they are given.
 * integration: the built program and real etcd processes. e2e: a real kube-apiserver and real
 * kubectl besides. Of these only a few files run at once: elections under a crowded processor are
 * other elections. A file whose real parts this machine has not is left out, with a notice;
 * with CI set it is run, and fails.
 */
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/e2e/**', ...MODEL],
          // None takes a second on a machine of its own; the time limit is for those that hang.
          testTimeout: 30_000,
          // No module is mocked, so that files can share them: loading them anew is half of the time.
          isolate: false,
          maxWorkers: ALL,
        },
      },
      { test: { name: 'model', include: MODEL, testTimeout: 120_000, maxWorkers: ALL } },
      {
        plugins: [leaveOutIncomplete('test/integration/')],
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/harness/built-program.ts'],
          ...PROCESSES,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        plugins: [leaveOutIncomplete('test/e2e/')],
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: ['test/harness/built-program.ts'],
          ...PROCESSES,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
