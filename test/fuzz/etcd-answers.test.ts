import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { deadlineFor } from '../../src/admission/deadline.ts';
import { hear, type Judgement } from '../../src/admission/hearing.ts';
import { quorumOf } from '../../src/decision/quorum.ts';
import { loadedGuard, sourceOf } from '../fakes/guards.ts';
import { deletion, eviction } from '../fakes/requests.ts';
import { LyingEtcd, type MadeMember } from './lying-etcd.ts';
import { cases, FuzzError, must, Random, report, seedOf, Tally } from './random.ts';

const CORPUS = join(import.meta.dirname, 'corpus/etcd');
const CASES = cases(40_000);
const AT_ONCE = 50;

/** Seeds that once found something: each is the whole of its case. */
const FIXED = readdirSync(CORPUS)
  .filter((file) => file.endsWith('.json'))
  .flatMap((file) =>
    z
      .array(z.object({ seed: z.int(), found: z.string() }))
      .parse(JSON.parse(readFileSync(join(CORPUS, file), 'utf8'))),
  );

interface Made {
  readonly etcd: LyingEtcd;
  readonly target: MadeMember;
  readonly judgement: Judgement;
}

const nowMs = (): number => performance.now();

async function judged(seed: number): Promise<Made> {
  const random = new Random(seed);
  const size = random.pick([1, 2, 3, 3, 3, 3, 4, 5, 5, 7]);
  const learners = random.oneIn(6) ? 1 : 0;
  const pods = Array.from({ length: size + learners }, (_, nth) => `etcd-${nth}`);
  const members = pods.map((pod, nth): MadeMember => ({
    pod,
    id: String(1_000 + nth),
    learner: nth >= size,
    kind: random.pick(['honest', 'honest', 'honest', 'honest', 'silent', 'liar', 'liar']),
  }));
  const target = random.pick(members);
  const etcd = new LyingEtcd(members, String(1_000 + random.below(size)), random);
  const quorum = random.oneIn(10) ? 'Warn' : 'Enforce';
  const source = sourceOf(etcd, loadedGuard({ pods, policy: { quorum } }));
  // A hand-off that nobody confirms is waited for: a few, and not for long.
  const [request, timeoutMs] = random.oneIn(40)
    ? [eviction(target.pod), 60]
    : [deletion(target.pod), 10_000];
  const judgement = await hear(
    request,
    { guards: source, nowMs },
    deadlineFor(timeoutMs, nowMs(), nowMs),
  );
  return { etcd, target, judgement };
}

/**
 * What must not be let go, from what is true of the honest alone. A liar may speak for one member
 * each, its own: nobody can tell a process that lies about its health from a healthy one. Where the
 * honest that answer are no quorum, nothing that is said proves anything, and liars may agree on a
 * cluster without them; then only what they can't deny is checked.
 */
function check({ etcd, target, judgement: { verdict } }: Made): string {
  must(
    /^[^\p{Cc}]+$/u.test(verdict.message),
    `a message with control characters: ${verdict.message}`,
  );
  must(verdict.message.length < 2_000, 'a message of more than 2,000 characters');
  const { voters } = etcd;
  const quorum = quorumOf(voters.length);
  const honest = voters.filter(({ kind }) => kind === 'honest');
  if (verdict.kind === 'deny') return `refused ${verdict.reason}`;
  const isWarned = verdict.reason === 'QuorumAtRisk';
  if (honest.length < quorum) return 'allowed where the honest are no quorum';
  if (target.learner) return 'allowed a learner';
  const left = voters.filter((one) => one !== target && one.kind !== 'silent').length;
  must(isWarned || left >= quorum, `${left} of ${voters.length} voters would be left`);
  if (target.kind !== 'liar') {
    must(target.id !== etcd.leader, 'the leader would go');
    must(
      ['Spared', 'NothingToLose', 'QuorumAtRisk'].includes(verdict.reason),
      `a voter is let go as ${verdict.reason}`,
    );
  }
  return `allowed ${verdict.reason}`;
}

async function run(seed: number): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('no verdict within 12 s')), 12_000);
  });
  try {
    return check(await Promise.race([judged(seed), late]));
  } finally {
    clearTimeout(timer);
  }
}

test.each(FIXED)('the kept case $seed ($found)', async ({ seed }) => {
  expect(await run(seed)).toMatch(/^(allowed|refused) /);
});

test(`${CASES} clusters with liars in them get no wrong allow`, async () => {
  const tally = new Tally();
  for (let begun = 0; begun < CASES; begun += AT_ONCE) {
    const batch = Array.from({ length: Math.min(AT_ONCE, CASES - begun) }, async (_, nth) => {
      const seed = seedOf(begun + nth);
      try {
        tally.add(await run(seed));
      } catch (error) {
        throw new FuzzError(begun + nth, `seed ${seed}`, error);
      }
    });
    await Promise.all(batch);
  }
  report('etcd answers', tally.counts);
  for (const kind of ['allowed Spared', 'refused LeaderProtected', 'refused Unverifiable']) {
    expect(tally.counts[kind]).toBeGreaterThan(CASES / 4_000);
  }
}, 240_000);
