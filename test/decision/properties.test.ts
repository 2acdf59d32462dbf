import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { choosesSuccessor, decide } from '../../src/decision/decide.ts';
import type { MemberId } from '../../src/decision/member-id.ts';
import { memberId } from '../../src/decision/member-id.ts';
import type {
  Answer,
  ListedMember,
  ProofAnswer,
  Situation,
  StatusAnswer,
} from '../../src/decision/situation.ts';
import type { Allow, Decision, Verdict } from '../../src/decision/verdict.ts';
import { scenes, type Scene } from './random-situation.ts';

const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 3_000);

function always(holds: (scene: Scene) => void): void {
  fc.assert(fc.property(scenes, holds), { numRuns: RUNS });
}

/** Answers whatever `decide` asks for from the scene, until there is a verdict. */
function concluded({ situation, answers, proof }: Scene): {
  readonly verdict: Verdict;
  readonly at: Situation;
  readonly steps: readonly Decision['kind'][];
} {
  let at = situation;
  const steps: Decision['kind'][] = [];
  for (;;) {
    const decision = decide(at);
    steps.push(decision.kind);
    if (steps.length > 4) throw new Error(`no verdict after ${steps.join(', ')}`);
    switch (decision.kind) {
      case 'allow':
      case 'deny':
        return { verdict: decision, at, steps };
      case 'ask':
        at = Object.assign({}, at, { answers });
        break;
      case 'prove': {
        const asked = [...proof].filter(([pod]) => decision.pods.includes(pod));
        at = Object.assign({}, at, { proof: new Map(asked) });
        break;
      }
      case 'handOff':
        at = Object.assign({}, at, { handOff: { kind: 'failed', cause: 'not in this test' } });
    }
  }
}

function verdictOf(scene: Scene): Verdict {
  return concluded(scene).verdict;
}

describe('every decision', () => {
  test('ends in a verdict within four steps, and never throws', () => {
    always((scene) => {
      expect(concluded(scene).steps.length).toBeLessThanOrEqual(4);
    });
  });

  test('is the same for the same situation, and leaves it as it was', () => {
    always((scene) => {
      const before = structuredClone(scene.situation);
      expect(decide(scene.situation)).toEqual(decide(scene.situation));
      expect(scene.situation).toEqual(before);
    });
  });

  test('speaks in one line, and in warnings of at most 256 characters', () => {
    always((scene) => {
      const { message, warnings } = verdictOf(scene);
      expect(message.trim()).not.toBe('');
      for (const text of [message, ...warnings])
        expect(text).not.toMatch(/[\r\n\p{Cc}]| {2}|undefined|null|\?/u);
      for (const warning of warnings) expect(warning.length).toBeLessThanOrEqual(256);
    });
  });

  test('asks for proof from pods that it knows, once each', () => {
    always((scene) => {
      const decision = decide({ ...scene.situation, answers: scene.answers });
      if (decision.kind !== 'prove') return;
      expect(decision.pods).not.toEqual([]);
      expect(new Set(decision.pods).size).toBe(decision.pods.length);
      const known = new Set(scene.situation.pods.map(({ name }) => name));
      expect(decision.pods.filter((pod) => !known.has(pod))).toEqual([]);
      expect(decision.pods.filter((pod) => scene.answers.get(pod)?.kind !== 'status')).toEqual([]);
    });
  });
});

describe('who is on a cordoned node', () => {
  test('counts only where a successor is chosen, which is known before; else it changes advice at most', () => {
    const counted = { handOff: 0, other: 0 };
    always(({ situation, answers, proof }) => {
      const asked = { ...situation, answers };
      for (const at of [situation, asked, { ...asked, proof }]) {
        const decision = decide(at);
        counted[decision.kind === 'handOff' ? 'handOff' : 'other'] += 1;
        if (choosesSuccessor(at)) continue;
        expect(decision.kind).not.toBe('handOff');
        const pods = at.pods.map((pod) => ({ ...pod, cordoned: !pod.cordoned }));
        expect(withoutAdvice(decide({ ...at, pods }))).toEqual(withoutAdvice(decision));
      }
    });
    expect(counted.handOff).toBeGreaterThan(0);
    expect(counted.other).toBeGreaterThan(0);
  });
});

/** Whom a refusal names to move leadership to by hand. */
function withoutAdvice(decision: Decision): Decision {
  if (decision.kind !== 'deny') return decision;
  return { ...decision, message: decision.message.replace(/move-leader \w+/, 'move-leader ID') };
}

describe('names', () => {
  test('of pods and ids of members change nothing else', () => {
    always((scene) => {
      const original = verdictOf(scene);
      const renamed = verdictOf(renamedScene(scene));
      expect(renamed).toEqual({
        ...original,
        member: original.member === null ? null : newId(original.member),
        message: newText(original.message),
        warnings: original.warnings.map(newText),
      });
    });
  });
});

/** Keeps the order, by which ties are broken. */
function newName(pod: string): string {
  return pod === '' ? '' : pod.replace('etcd-', 'db-member-');
}

function newId(id: MemberId): MemberId {
  return memberId(`7${id}`);
}

function newText(text: string): string {
  return text
    .replaceAll(/\betcd-(?=\d)/g, 'db-member-')
    .replaceAll(/\b(?=(?:[a-f]1|1[0-2]1)\b)/g, '7');
}

function renamedScene({ situation, answers, proof }: Scene): Scene {
  const renamed = <T>(map: ReadonlyMap<string, T>, of: (value: T) => T): Map<string, T> =>
    new Map([...map].map(([pod, value]) => [newName(pod), of(value)]));
  const { target, pods, reservations } = situation;
  return {
    situation: {
      ...situation,
      target: { ...target, name: newName(target.name) },
      pods: pods.map((pod) => ({ ...pod, name: newName(pod.name) })),
      reservations: reservations.map((entry) => ({
        ...entry,
        pod: newName(entry.pod),
        handOffTo: entry.handOffTo === null ? null : newId(entry.handOffTo),
      })),
    },
    answers: renamed(answers, renamedAnswer),
    proof: renamed(proof, renamedProof),
  };
}

function renamedAnswer(answer: Answer): Answer {
  if (answer.kind !== 'status') return answer;
  return {
    ...answer,
    id: newId(answer.id),
    list: answer.list?.map((m) => ({ ...m, id: newId(m.id), name: newName(m.name) })) ?? null,
    leader: answer.leader === null ? null : newId(answer.leader),
    corrupt: answer.corrupt.map(newId),
  };
}

function renamedProof(proof: ProofAnswer): ProofAnswer {
  const { after } = proof;
  if (after === null) return proof;
  const leader = after.leader === null ? null : newId(after.leader);
  return { ...proof, after: { ...after, id: newId(after.id), leader } };
}

/** What the scene's sound voters agree on: the list and leader of the first pod that is sound. */
function soundAnswer({ situation, answers }: Scene): StatusAnswer | null {
  for (const { name } of situation.pods) {
    const answer = answers.get(name);
    if (answer?.kind === 'status' && answer.list !== null && answer.leader !== null) return answer;
  }
  return null;
}

/** Under quorum: Warn all that are left have to prove it, and so fewer may where more may not. */
function isEnforced({ situation: { guards } }: Scene): boolean {
  return guards[0]?.policy.quorum !== 'Warn';
}

/** A member that is about to go is not asked for proof, and so can't say that the target leads. */
function isTargetNamed({ situation: { target }, answers, proof }: Scene): boolean {
  const own = answers.get(target.name);
  const ids = new Set([...proof.values()].map(({ after }) => after?.leader));
  return own?.kind !== 'status' || ids.has(own.id);
}

describe('monotony', () => {
  /**
   * A voter other than the target, known by its own pod alone, that did not answer, now answers, is
   * sound in every respect, and can prove it. Identities stay what they were, since its pod matches
   * it by address and name already. What was allowed for want of knowledge (unknown: Allow) may
   * be refused once more is known.
   */
  test('a healthier bystander never turns allow into deny', () => {
    always((scene) => {
      const before = verdictOf(scene);
      const better = withRecovered(scene);
      if (before.kind !== 'allow' || better === null || !isEnforced(scene)) return;
      if (before.reason === 'Unverifiable') return;
      expect(verdictOf(better)).toMatchObject({ kind: 'allow' });
    });
  });

  test('more reservations or terminating pods of others never turn deny into allow', () => {
    always((scene) => {
      const before = verdictOf(scene);
      if (before.kind !== 'deny' || !isEnforced(scene) || isTargetNamed(scene)) return;
      const { target, pods, reservations } = scene.situation;
      for (const { name } of pods.filter((pod) => pod.name !== target.name)) {
        const entry = {
          pod: name,
          own: false,
          ageMs: 1,
          reason: 'Spared',
          handOffTo: null,
        } as const;
        const reserved = { ...scene.situation, reservations: [...reservations, entry] };
        const going = pods.map((pod) => (pod.name === name ? { ...pod, terminating: true } : pod));
        for (const situation of [reserved, { ...scene.situation, pods: going }]) {
          expect(verdictOf({ ...scene, situation })).toMatchObject({ kind: 'deny' });
        }
      }
    });
  });
});

/** The first silent bystander recovers; null if there is none that is plainly its own member. */
function withRecovered(scene: Scene): Scene | null {
  const { situation, answers, proof } = scene;
  const model = soundAnswer(scene);
  const silent = situation.pods.filter(
    ({ name }) => name !== situation.target.name && answers.get(name)?.kind === 'silent',
  );
  const plain = silent.flatMap((pod) =>
    (model?.list ?? []).filter((m) => isPlainly(m, pod, scene)).map((member) => ({ pod, member })),
  );
  const [found] = plain;
  if (found === undefined || model === null) return null;
  const { pod, member } = found;
  const sound: StatusAnswer = {
    ...model,
    id: member.id,
    appliedIndex: model.raftIndex,
    corrupt: [],
  };
  const after = { id: member.id, clusterId: model.clusterId, leader: model.leader };
  return {
    situation,
    answers: new Map([...answers, [pod.name, sound]]),
    proof: new Map([...proof, [pod.name, { served: true, after, cause: null }]]),
  };
}

/** By address and by name, and no other pod or member has anything to do with either. */
function isPlainly(
  member: ListedMember,
  pod: Pick<Situation['pods'][number], 'name' | 'address' | 'hosts'>,
  { situation, answers }: Scene,
): boolean {
  const others = situation.pods.filter(({ name }) => name !== pod.name);
  return (
    !member.learner &&
    member.name === pod.name &&
    member.clientAddresses.some((address) => address === pod.address) &&
    !others.some(
      ({ name, address, hosts }) =>
        address === pod.address ||
        hosts.some((host) => member.hosts.includes(host)) ||
        isAnswerOf(answers.get(name), member.id),
    )
  );
}

function isAnswerOf(answer: Answer | undefined, id: MemberId): boolean {
  return answer?.kind === 'status' && answer.id === id;
}

/** Rows that let a healthy voter go, or may. */
function needsProof(verdict: Verdict): verdict is Allow {
  return verdict.kind === 'allow' && ['Spared', 'NothingToLose'].includes(verdict.reason);
}

describe('safety, counted from what was seen alone', () => {
  test('whoever may go by rows 13 and 15 leaves a quorum that has proven itself', () => {
    always((scene) => {
      const { verdict, at } = concluded(scene);
      if (!needsProof(verdict)) return;
      const [guard] = at.guards;
      const { member } = verdict;
      const seen = [...(at.answers ?? [])].flatMap(([pod, a]) =>
        a.kind === 'status' ? [{ pod, a }] : [],
      );
      const counted = seen.map(({ a: { list } }) => list).filter((list) => list !== null);
      const witnesses = counted.map((list) => {
        const voters = list.filter(({ learner, id }) => !learner && id !== member);
        const total = list.filter(({ learner }) => !learner).length;
        const leaders = list.map(({ id }) => id);
        const best = Math.max(...leaders.map((leader) => proven({ at, seen, voters, leader })), 0);
        return best - Math.floor(total / 2);
      });
      expect(guard?.policy.quorum === 'Warn' ? 1 : Math.max(...witnesses)).toBeGreaterThan(0);
    });
  });

  test('nobody whom a quorum names goes by rows 9 to 15, but in a dry run', () => {
    always((scene) => {
      const { verdict, at } = concluded(scene);
      const rows = ['NotAMember', 'Learner', 'NothingToLose', 'QuorumAtRisk', 'Spared'];
      if (verdict.kind === 'deny' || at.request.dryRun || !rows.includes(verdict.reason)) return;
      const own = at.answers?.get(at.target.name);
      const id = own?.kind === 'status' ? own.id : verdict.member;
      expect(listsThatLead(at, id)).toEqual([]);
    });
  });
});

/** The lists of voters of whom, by their own list, more than half name this member. */
function listsThatLead(at: Situation, id: MemberId | null): readonly (readonly ListedMember[])[] {
  const statuses = [...(at.answers ?? [])].flatMap(([, a]) => (a.kind === 'status' ? [a] : []));
  return statuses.flatMap(({ list, clusterId }) => {
    const voters = (list ?? []).filter(({ learner }) => !learner);
    const naming = statuses.filter(
      (a) => a.list?.length === list?.length && a.clusterId === clusterId && a.leader === id,
    );
    const named = voters.filter((voter) => naming.some((a) => a.id === voter.id));
    const isVoter = voters.some((voter) => voter.id === id);
    return isVoter && named.length * 2 > voters.length ? [voters] : [];
  });
}

/** How many of these voters answered, then served a read, and name this leader before and after. */
function proven(of: {
  readonly at: Situation;
  readonly seen: readonly { readonly pod: string; readonly a: StatusAnswer }[];
  readonly voters: readonly ListedMember[];
  readonly leader: MemberId;
}): number {
  const { at, seen, voters, leader } = of;
  const good = seen.filter(({ pod, a }) => {
    const proof = at.proof?.get(pod);
    const still = proof?.after?.leader === leader && proof.after.id === a.id;
    return a.leader === leader && proof?.served === true && still;
  });
  return voters.filter(({ id }) => good.some(({ a }) => a.id === id)).length;
}
