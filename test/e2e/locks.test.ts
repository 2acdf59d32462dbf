import { execa } from 'execa';
import { readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { consoleSteps, blocksOf } from '../harness/console.ts';
import { LockedCluster } from '../harness/locked-cluster.ts';
import { lacksKubernetes } from '../harness/kube-apiserver.ts';
import { temporaryDirectory } from '../harness/reaper.ts';

const PAGE = new URL('../../docs/locks.md', import.meta.url);

describe.skipIf(await lacksKubernetes())(
  'ExclusiveLocks on a real API server',
  { timeout: 120_000 },
  () => {
    let cluster: LockedCluster;

    beforeAll(async () => {
      cluster = await LockedCluster.start(inject('program'));
    });

    afterAll(async () => {
      await cluster?.stop();
    });

    it('walk through as docs/locks.md says, word for word', async () => {
      const page = await readFile(PAGE, 'utf8');
      const directory = await temporaryDirectory('locks-page');
      const manifests = blocksOf(page, 'yaml').filter((block) => /^kind:/m.test(block));
      expect(manifests).toHaveLength(1);
      await writeFile(join(directory.path, 'lock.yaml'), manifests[0] ?? '');
      const { api } = cluster;
      const env = {
        KUBECONFIG: api.kubeconfig,
        HOME: directory.path,
        PATH: `${api.binaries}${delimiter}${process.env['PATH'] ?? ''}`,
      };
      const steps = consoleSteps(page);
      expect(steps.length).toBeGreaterThan(10);
      for (const { command, output } of steps) {
        const options = {
          shell: true,
          reject: false,
          all: true,
          cwd: directory.path,
          env,
        } as const;
        const { all } = await execa(command, options);
        expect({ command, output: all }).toEqual({ command, output });
      }
      await directory.remove();
    });
  },
);
