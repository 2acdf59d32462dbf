import { expect, test } from 'vitest';
import { clusterOf } from './described-cluster.ts';
import { parse } from './dsl.ts';

test.each([
  ['remove target=a', "has to begin with 'delete' or 'evict'"],
  ['delete votters=(a) target=a', "'votters' in 'delete votters=(a) target=a' is none of: target"],
  ['delete target=a target=b', "'target' is given twice"],
  ['delete voters=(a,b target=a', 'is not closed'],
  ['delete silent=(a:"no route) target=a', 'is not closed'],
])('%s', (text, complaint) => {
  expect(() => parse(text)).toThrow(complaint);
});

test.each([
  ['delete voters=(a)', 'a description needs a target'],
  ['delete voters=(a) quorum=Maybe target=a', 'quorum=Maybe is none of Enforce, Warn'],
  ['delete voters=(a) own=5 target=a', "not an age in seconds: '5'"],
  ['delete voters=(a) own=5s ownReason=Mercy target=a', 'no such reason: Mercy'],
])('%s, once a cluster is made of it', (text, complaint) => {
  expect(() => clusterOf(parse(text))).toThrow(complaint);
});
