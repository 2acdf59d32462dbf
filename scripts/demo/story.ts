import type { EtcdCluster } from '../../test/harness/etcd-cluster.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { until } from '../../test/harness/until.ts';
import type { Guard } from './guard.ts';
import { chapter, check, command, remark } from './narration.ts';
import type { Shell } from './shell.ts';
import type { Attempt, Stage } from './stage.ts';

export interface Scene {
  readonly etcd: EtcdCluster;
  readonly guard: Guard;
  readonly stage: Stage;
  readonly shell: Shell;
}

/**
 * The guard looks at members that it let go once a second, and has to see this one silent to
 * know it again when it is back. No real pod is replaced faster than that.
 */
const AWAY_MS = 2_500;

const STATUS = ['status', '--guards', 'guards.yaml'];

/** What was refused, by `operation/reason`: the counters must have at least that. */
export type Refusals = ReadonlyMap<string, number>;

/** Shows and checks everything, in order. */
export async function tell(scene: Scene): Promise<Refusals> {
  await whoLeads(scene);
  await theLeaderIsRefused(scene);
  await oneFollowerAtATime(scene);
  await theLeaderIsHandedOff(scene);
  await protectionFollowsTheLeader(scene);
  return new Map([
    ['delete/LeaderProtected', 2],
    ['delete/QuorumAtRisk', 1],
  ]);
}

async function whoLeads({ etcd, shell }: Scene): Promise<void> {
  chapter('Who leads?');
  const { exitCode, text } = await shell.show('etcd-guard', ...STATUS);
  check(exitCode === 0, `etcd-guard status ended with exit code ${exitCode}`);
  const { name } = await etcd.leader();
  check(namesLeader(text, name), `etcdctl says that ${name} leads`);
  remark(`etcdctl endpoint status says so, too: ${name}`);
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
  const { etcd, stage } = scene;
  const [first, second] = await etcd.followers();
  check(first !== undefined && second !== undefined, 'there are no two followers');

  chapter('Deleting a follower goes through');
  const allowed = await stage.deletePod(first.name);
  await goes(scene, first.name, allowed);
  remark(`${allowed.outcome}; ${first.name} is gone`);

  chapter('Meanwhile the other follower is refused: two of three are the quorum');
  const attempt = await stage.deletePod(second.name);
  refused(attempt, ` ${second.name} is needed by etcd cluster default/etcd `);
  await stays(scene, second.name);
  remark(`${attempt.outcome}; ${second.name} is still there`);

  chapter(`${first.name} comes back`);
  await comesBack(scene, first.name);
}

async function theLeaderIsHandedOff(scene: Scene): Promise<void> {
  const { etcd, stage, guard, shell } = scene;
  chapter('Draining the node of the leader: leadership is moved first, then the pod goes');
  const before = await etcd.leader();
  const attempt = await stage.drain(before.name);
  await goes(scene, before.name, attempt);
  const after = await etcd.leader();
  check(after.id !== before.id, `${before.name} still leads`);
  const moved = (await guard.metric('etcdguard_handoffs_total')).find(
    ({ labels }) => labels['outcome'] === 'moved',
  );
  check(moved?.value === 1, `the guard counts ${String(moved?.value)} hand-offs`);
  remark(`${attempt.outcome}; ${before.name} handed over to ${after.name}, and is gone`);
  const { text } = await shell.show('etcd-guard', ...STATUS);
  check(namesLeader(text, after.name), `etcdctl says that ${after.name} leads`);
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

const statusSchema = z.object({
  items: z.tuple([z.object({ status: z.object({ healthyVoters: z.number().nullable() }) })]),
});

async function comesBack({ stage, guard, shell }: Scene, pod: string): Promise<void> {
  await delay(AWAY_MS);
  await stage.bringBack(pod);
  await guard.holdsNothing();
  await until('three healthy members', async () => {
    const { text } = await shell.quietly('etcd-guard', ...STATUS, '-o', 'json');
    const [{ status }] = statusSchema.parse(JSON.parse(text)).items;
    return status.healthyVoters === 3;
  });
  remark(`${pod} is back: all three members are healthy`);
}

function refused({ allowed, text }: Attempt, sentence: string): void {
  check(!allowed, `this was allowed, though${sentence}...`);
  check(text.includes(sentence), `this was refused, but not because${sentence}...`);
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

/** In the table of `etcd-guard status`. */
function namesLeader(table: string, pod: string): boolean {
  return new RegExp(String.raw`^default/etcd +${pod} `, 'm').test(table);
}
