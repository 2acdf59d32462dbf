import type { Bench } from '../bench.ts';
import type { PartName } from '../part-names.ts';
import type { PartResult } from '../result.ts';
import { apiserver } from './apiserver.ts';
import { bodies } from './bodies.ts';
import { cold } from './cold.ts';
import { growthCluster } from './growth-cluster.ts';
import { growth } from './growth.ts';
import { hang } from './hang.ts';
import { load } from './load.ts';
import { members } from './members.ts';
import { memory } from './memory.ts';
import { one } from './one.ts';
import { reserved } from './reserved.ts';
import { soak } from './soak.ts';
import { storm } from './storm.ts';
import { startup } from './startup.ts';

/** How each part is measured. */
export const MEASURES: Readonly<Record<PartName, (bench: Bench) => Promise<PartResult>>> = {
  startup,
  one,
  load,
  reserved,
  cold,
  memory,
  bodies,
  members,
  hang,
  growth,
  'growth-cluster': growthCluster,
  storm,
  apiserver,
  soak,
};
