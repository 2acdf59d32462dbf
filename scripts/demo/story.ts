import type { EtcdCluster } from '../../test/harness/etcd-cluster.ts';
import { until } from '../../test/harness/until.ts';
import { chapter, check, command, remark } from './narration.ts';
import type { Attempt, Stage } from './stage.ts';

export interface Scene {
  readonly etcd: EtcdCluster;
  readonly stage: Stage;
}

/** What was refused, by `operation/reason`: the counters must have at least that. */
export type Refusals = ReadonlyMap<string, number>;

const VOTERS = 3;

/** Shows and checks everything, in order. */
export async function tell(scene: Scene): Promise<Refusals> {
  await whoLeads(scene);
  await theLeaderIsRefused(scene);
  await oneFollowerAtATime(scene);
  const reason = await oneOfTwoAtTheSameMoment(scene);
  await theLeaderIsHandedOff(scene);
  await protectionFollowsTheLeader(scene);
  await scene.stage.showEvents(['LeaderProtected', 'QuorumAtRisk', 'LeadershipMoved']);
  return new Map([
    ['delete/LeaderProtected', 2],
    ['delete/QuorumAtRisk', 1],
    [`delete/${reason}`, reason === 'QuorumAtRisk' ? 2 : 1],
  ]);
}

async function whoLeads({ etcd, stage }: Scene): Promise<void> {
  await stage.protect();
  chapter('Who leads?');
  const { name } = await etcd.leader();
  await stage.showCluster(name, { voters: VOTERS, healthy: VOTERS });
  remark(`by etcdctl endpoint status: ${name}`);
}

async function theLeaderIsRefused(scene: Scene): Promise<void> {
  const { etcd, stage } = scene;
  chapter('Deleting the leader is refused');
  const leader = await etcd.leader();
  const attempt = await stage.deletePod(leader.name);
  refused(attempt, ` ${leader.name} leads etcd cluster default/etcd `);
  await stays(scene, leader.name);
  check((await etcd.leader()).id === leader.id, `${leader.name} leads no more`);
  remark(`${attempt.outcome}; ${leader.name} is still there and still leads`);
}

async function oneFollowerAtATime(scene: Scene): Promise<void> {
  const { stage } = scene;
  const [first, second] = await twoFollowers(scene);

  chapter('Deleting a follower goes through');
  const allowed = await stage.deletePod(first);
  await goes(scene, first, allowed);
  remark(`${allowed.outcome}; ${first} is gone`);

  chapter('Meanwhile the other follower is refused: two of three are the quorum');
  const attempt = await stage.deletePod(second);
  refused(attempt, neededBy(second));
  await stays(scene, second);
  remark(`${attempt.outcome}; ${second} is still there`);
  await comesBack(scene, first);
}

/** Why the other one was refused. */
async function oneOfTwoAtTheSameMoment(scene: Scene): Promise<'QuorumAtRisk' | 'Unverifiable'> {
  const { stage } = scene;
  const pods = await twoFollowers(scene);
  chapter('Both followers at the same moment: one goes, the other stays');
  const [first, second] = await stage.deleteBoth(pods);
  const outcomes = [
    { pod: pods[0], attempt: first },
    { pod: pods[1], attempt: second },
  ] as const;
  const [one, other] = first.allowed ? outcomes : ([outcomes[1], outcomes[0]] as const);
  check(!other.attempt.allowed, 'both were allowed to go');
  await goes(scene, one.pod, one.attempt);
  // The one that went may have done so while it was asked for a proof that the quorum stays.
  const unproven = ` can spare ${other.pod}: `;
  refused(other.attempt, neededBy(other.pod), unproven);
  await stays(scene, other.pod);
  remark(outcomes.map(({ pod, attempt }) => `${pod}: ${attempt.outcome}`).join('; '));
  await stage.showReservation(one.pod);
  await comesBack(scene, one.pod);
  return other.attempt.text.includes(unproven) ? 'Unverifiable' : 'QuorumAtRisk';
}

async function theLeaderIsHandedOff(scene: Scene): Promise<void> {
  const { etcd, stage } = scene;
  chapter('Draining the node of the leader: leadership is moved first, then the pod goes');
  const before = await etcd.leader();
  const attempt = await stage.drain(before.name);
  await goes(scene, before.name, attempt);
  const after = await etcd.leader();
  check(after.id !== before.id, `${before.name} still leads`);
  const moved = (await stage.guard.metric('etcdguard_handoffs_total')).find(
    ({ labels }) => labels['outcome'] === 'moved',
  );
  check(moved?.value === 1, `the guard counts ${String(moved?.value)} hand-offs`);
  remark(`${attempt.outcome}; ${before.name} handed over to ${after.name}, and is gone`);
  await stage.showCluster(after.name, { voters: VOTERS, healthy: VOTERS - 1 });
  await comesBack(scene, before.name);
}

async function protectionFollowsTheLeader(scene: Scene): Promise<void> {
  const { etcd, stage } = scene;
  chapter('The leader dies: protection moves to the new one');
  const dead = await etcd.leader();
  command(`kill -9 ${dead.process.pid}  # ${dead.name}`);
  const killedAt = performance.now();
  await etcd.killMember(dead.name);
  const survivors = etcd.members.filter(({ id }) => id !== dead.id).map(({ name }) => name);
  const { pod: leader, attempt: dryRun } = await until('a protected new leader', () =>
    protectedOrLost(survivors, stage),
  );
  const seconds = ((performance.now() - killedAt) / 1000).toFixed(1);
  check(!dryRun.allowed, `${leader} could have been deleted while one of three members is dead`);
  check((await etcd.leader()).name === leader, `${leader} is protected, but does not lead`);
  remark(
    `${seconds} s later ${leader} leads and is protected; until then both survivors were refused`,
  );

  const attempt = await stage.deletePod(leader);
  refused(attempt, ` ${leader} leads etcd cluster default/etcd `);
  await stays(scene, leader);
  remark(`${attempt.outcome}; ${leader} is still there`);

  const allowed = await stage.deletePod(dead.name);
  await goes(scene, dead.name, allowed);
  remark(`${allowed.outcome}; the dead member can be replaced`);
  await comesBack(scene, dead.name);
}

interface Tried {
  readonly pod: string;
  readonly attempt: Attempt;
}

/** The one that is refused as leader; or one that is allowed to go, which none may be. */
async function protectedOrLost(pods: readonly string[], stage: Stage): Promise<Tried | undefined> {
  const tried = await Promise.all(
    pods.map(async (pod) => ({ pod, attempt: await stage.dryRun(pod) })),
  );
  return (
    tried.find(({ attempt }) => attempt.allowed) ??
    tried.find(({ pod, attempt }) => attempt.text.includes(` ${pod} leads `))
  );
}

async function twoFollowers({ etcd }: Scene): Promise<readonly [string, string]> {
  const [first, second] = await etcd.followers();
  check(first !== undefined && second !== undefined, 'there are no two followers');
  return [first.name, second.name];
}

async function comesBack({ stage }: Scene, pod: string): Promise<void> {
  await stage.bringBack(pod);
  remark(`${pod} is back: all three members are healthy`);
}

function neededBy(pod: string): string {
  return ` ${pod} is needed by etcd cluster default/etcd `;
}

/** With one of these sentences. */
function refused({ allowed, text }: Attempt, ...sentences: readonly string[]): void {
  const expected = sentences.map((sentence) => `"${sentence.trim()} ..."`).join(' or ');
  check(!allowed, `this was allowed instead of refused with ${expected}`);
  const said = sentences.some((sentence) => text.includes(sentence));
  check(said, `this was refused, but not with ${expected}`);
}

async function stays({ stage, etcd }: Scene, pod: string): Promise<void> {
  const presence = await stage.presence(pod);
  check(presence === 'there', `${pod} was refused, but it is ${presence}`);
  check(etcd.member(pod).process.running, `${pod} was refused, but its process has ended`);
}

async function goes({ stage, etcd }: Scene, pod: string, { allowed }: Attempt): Promise<void> {
  check(allowed, `${pod} should have been allowed to go`);
  const presence = await stage.presence(pod);
  check(presence === 'gone', `${pod} was allowed to go, but it is ${presence}`);
  check(!etcd.member(pod).process.running, `${pod} is gone, but its etcd process still runs`);
}
