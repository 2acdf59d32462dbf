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
  expect(healthIn('delete voters=(a*,b,c) pods=(a,b) target=a')[2]).toBe('c Unknown it has no pod');
  expect(
    healthIn('delete voters=(a*,b,c) pods=(a,b,x) silent=(x) hosts=(x:none) target=a')[2],
  ).toBe('c Unknown no pod is known to run it');
});

test('the view of a round is made once, and anew whenever it would look different', () => {
  const cluster = clusterOf(parse('delete voters=(a*,b,c) target=b'));
  const situation = { ...cluster.situation, answers: cluster.answers(cluster.leader) };
  const view = viewIn(situation);
  expect(viewIn({ ...situation, reservations: [], obstacle: { kind: 'OutOfTime' } })).toBe(view);

  const reservations = [
    { pod: 'c', own: false, ageMs: 1000, reason: 'Spared', handOffTo: null } as const,
  ];
  const reserved = viewIn({ ...situation, reservations });
  expect(reserved?.healthyVoters).toBe(2);
  expect(viewIn({ ...situation, reservations: [...reservations] })).not.toBe(reserved);
  expect(viewIn({ ...situation, pods: [...situation.pods] })).not.toBe(view);
  expect(viewIn({ ...situation, proof: new Map() })).not.toBe(view);
  expect(viewIn({ ...situation, answers: new Map(situation.answers) })).not.toBe(view);
  expect(viewIn(situation)).toEqual({ ...view, readingsOf: expect.any(Function) });
});
