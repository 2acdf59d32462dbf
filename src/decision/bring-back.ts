import { addressOf, sharedAddress } from './addresses.ts';
import type { Case } from './case.ts';
import { deletionAllowed, type MemberView } from './cluster-view.ts';
import { CONNECTION_REFUSED } from './situation.ts';
import { guardName, names } from './wording.ts';

/** Which voters are missing and how to get them back; empty if none but the target's is. */
export function bringBack(c: Case): string {
  const missing = (c.view?.members ?? []).filter(
    (member) => !member.learner && member.health !== 'Healthy' && member.id !== c.memberId,
  );
  const without = missing.filter((member) => podsPerhaps(member, c).length === 0);
  const sick = missing.filter((member) => !without.includes(member));
  const podless = without.filter((member) => !isLeader(member, c));
  return [unhealthy(sick, c), leaderWithoutPod(c), withoutPods(podless, c)]
    .filter((sentence) => sentence !== '')
    .join(' ');
}

/** Its pod is there, most likely, but nobody guards it; empty if all is well with the leader's pod. */
export function leaderWithoutPod(c: Case): string {
  const leader = c.view?.members.find((member) => isLeader(member, c));
  if (leader === undefined || podsPerhaps(leader, c).length > 0) return '';
  return `The leader ${nameOf(leader)} runs in no pod that ${guarding(c)}: check its ${whatMakesPods(c)}.`;
}

function isLeader({ id }: MemberView, { view }: Case): boolean {
  return view?.leader.kind === 'confirmed' && view.leader.id === id;
}

function unhealthy(sick: readonly MemberView[], c: Case): string {
  if (sick.length === 0) return '';
  const told = names(sick.map((member) => `${nameOf(member)} (${causeOf(member, c)})`));
  return `Not healthy: ${told}. ${whatHelps(sick, c)}`;
}

function whatHelps(sick: readonly MemberView[], c: Case): string {
  if (sick.some((member) => clashOf(member, c) !== null)) {
    return 'Give each pod an address of its own, then try again.';
  }
  const [member] = sick;
  const instead = sick.length === 1 && member !== undefined ? insteadOf(member, c) : '';
  return `Wait until ${whoIs(sick, c)} healthy, then try again${instead}.`;
}

/** Not always all of them are needed. */
function whoIs(sick: readonly MemberView[], { view, after }: Case): string {
  const [member] = sick;
  if (sick.length === 1 && member !== undefined) return `${nameOf(member)} is`;
  const needed = (view?.quorum ?? 0) - after.length;
  if (needed < sick.length) return needed === 1 ? 'one of them is' : `${needed} of them are`;
  return sick.length === 2 ? 'both are' : 'all of them are';
}

/** Whoever refuses connections has perhaps ended for good. */
function insteadOf(member: MemberView, c: Case): string {
  const [pod] = member.pods;
  if (pod === undefined || member.why !== CONNECTION_REFUSED || going(member, c) !== null)
    return '';
  return ` (etcd-guard check ${pod} -n ${c.situation.target.namespace} says whether its pod may be deleted instead)`;
}

/** A deleted pod stays a voter; whether another one comes in its place only people know. */
function withoutPods(without: readonly MemberView[], c: Case): string {
  const [member] = without;
  if (member === undefined) return '';
  const one = without.length === 1;
  const who = one ? `${nameOf(member)} has no pod` : `${names(without.map(nameOf))} have no pods`;
  const wait = one ? 'wait until its pod is back' : 'wait until their pods are back';
  // No command with an id: whoever copies it while a pod is only being replaced loses the member.
  return `${who} that ${guarding(c)}: ${wait}, or check the guard's ${whatMakesPods(c)}. Only a member that is gone for good has to be removed from etcd: etcd-guard explain QuorumAtRisk.`;
}

function guarding(c: Case): string {
  return `EtcdGuard ${guardName(c)} ${isAddressed(c) ? 'names' : 'selects'}`;
}

function whatMakesPods(c: Case): string {
  return isAddressed(c) ? 'addresses' : "selector and the pods' labels";
}

function isAddressed({ guard }: Case): boolean {
  return guard?.podsFrom === 'addresses';
}

/** A silent pod that matches nothing may run any member that no other pod runs. */
function podsPerhaps({ id, pods }: MemberView, { situation, view }: Case): readonly string[] {
  if (pods.length > 0) return pods;
  const all = situation.pods.map(({ name }) => name);
  return all.filter((name) => view?.readingsOf(name).includes(id));
}

function causeOf(member: MemberView, c: Case): string {
  const clash = clashOf(member, c) ?? going(member, c);
  if (clash !== null) return clash;
  const [pod] = member.pods;
  if (pod === undefined) return `perhaps ${names(podsPerhaps(member, c))}: no answer`;
  const address = member.health === 'Unknown' ? addressOf(c, pod) : null;
  return address === null ? member.why : `${address}: ${member.why}`;
}

/** Why nobody can tell which pod is its own; null if that is not because others answer there. */
function clashOf(member: MemberView, c: Case): string | null {
  if (member.pods.length > 0) return null;
  const perhaps = podsPerhaps(member, c);
  return sharedAddress(c.situation.pods.filter(({ name }) => perhaps.includes(name)));
}

/** The silence of a pod that is being replaced needs no other explanation. */
function going({ pods, health }: MemberView, { situation }: Case): string | null {
  if (health !== 'Unknown') return null;
  if (situation.pods.some(({ name, terminating }) => terminating && pods.includes(name))) {
    return 'its pod is terminating';
  }
  const entry = situation.reservations.find((one) => !one.own && pods.includes(one.pod));
  return entry === undefined ? null : deletionAllowed(entry);
}

/** A member that has never started has no name yet. */
function nameOf({ pods, name, id }: MemberView): string {
  return pods[0] ?? (name || id);
}
