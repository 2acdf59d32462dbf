import { expect, test } from 'vitest';
import { viewIn } from '../../src/decision/decide.ts';
import { clusterOf } from './described-cluster.ts';
import { parse } from './dsl.ts';

function healthIn(text: string): readonly string[] {
  const cluster = clusterOf(parse(text));
  const view = viewIn({ ...cluster.situation, answers: cluster.answers(cluster.leader) });
  return (view?.members ?? []).map(({ name, health, why }) => `${name} ${health} ${why}`.trim());
}

test('a member that refuses is Unhealthy, a silent one Unknown', () => {
  expect(
    healthIn('delete voters=(a*,b,c,d,e) refusing=(d:"permission denied") silent=(e) target=a'),
  ).toEqual([
    'a Healthy',
    'b Healthy',
    'c Healthy',
    'd Unhealthy permission denied',
    'e Unknown connection refused',
  ]);
});

test('a member that no pod is known to run is Unknown', () => {
  expect(healthIn('delete voters=(a*,b,c) pods=(a,b) target=a')[2]).toBe(
    'c Unknown no pod is known to run it',
  );
});
