import { addressOf, allRefuseConnections, nameOfAnotherPod, sharedAddress } from './addresses.ts';
import {
  BREAK_GLASS_ANNOTATION,
  breakGlassCommand,
  excerpt,
  whyGlassHolds,
} from './break-glass.ts';
import { bringBack, leaderWithoutPod } from './bring-back.ts';
import { handOffCandidate } from './hand-off.ts';
import { proofOf } from './proof.ts';
import { answersForAnotherCluster, isConfirmedLeader, isShort, type Case } from './case.ts';
import type { Obstacle, Reason, Reservation, Situation } from './situation.ts';
import { cluster, guardName, names, oneLine, pod, upperFirst, whyNoList } from './wording.ts';

/** One line for a person at 3 a.m.: what, why, and what to do next. */
export function message(c: Case, reason: Reason): string {
  return oneLine(`${MESSAGES[reason](c)} ${glassHolds(c)}`);
}

/** The same for what is allowed: no advice on how to get it allowed. */
export function allowance(c: Case, reason: Reason): string {
  return oneLine((BY_POLICY[reason] ?? MESSAGES[reason])(c));
}

const BY_POLICY: Partial<Readonly<Record<Reason, (c: Case) => string>>> = {
  Unverifiable: (c) =>
    `${pod(c)} may go by policy (unknown: Allow), though there is no telling whether ${cluster(c)} can spare it: ${whyUnverifiable(c)}.`,
  QuorumAtRisk: (c) =>
    `${pod(c)} may go by policy (quorum: Warn), though ${cluster(c)} ${facts(c)} needs it: without it ${left(c)}.`,
};

const MESSAGES: Readonly<Record<Reason, (c: Case) => string>> = {
  NotGuarded: ({ situation: { target } }) =>
    `No EtcdGuard selects ${target.namespace}/${target.name}.`,
  AlreadyGoing: (c) => `${pod(c)} is terminating already.`,
  NotRunningHere: (c) => `${pod(c)} ${notRunning(c)}: no etcd member goes with it.`,
  PreconditionStale: (c) =>
    `The request is for another pod of the name ${pod(c)} (uid ${excerpt(c.situation.request.preconditionUid ?? '?')}): the API server will refuse it.`,
  BreakGlass: (c) =>
    `Break-glass on ${pod(c)}: "${c.situation.target.breakGlass?.reason?.trim() ?? ''}". Etcd was not asked.`,
  AmbiguousGuard: (c) =>
    `${pod(c)} is selected by ${c.situation.guards.length} EtcdGuards: ${names(c.situation.guards.map((g) => `${g.namespace}/${g.name}`))}. Only one may select it: change the selectors of the others, or delete them.`,
  KnownDown: (c) =>
    `${pod(c)} of ${cluster(c)} is down already (its container does not run, its node is Ready, its member does not answer).`,
  Unverifiable: (c) =>
    `Can't tell whether ${cluster(c)} can spare ${pod(c)}: ${whyUnverifiable(c)}. ${whatHelps(c)}. ${breakGlass(c)}`,
  NotAMember: (c) => `${pod(c)} runs no member of ${cluster(c)}${listed(c)}.`,
  Learner: (c) => `${pod(c)} is a learner of ${cluster(c)} ${facts(c)}: it has no vote.`,
  LeaderProtected: leaderProtected,
  QuorumLost: quorumLost,
  NothingToLose: (c) =>
    `${pod(c)} of ${cluster(c)} is not healthy (${whyNotHealthy(c)}), and ${left(c)} without it ${facts(c)}.`,
  QuorumAtRisk: quorumAtRisk,
  Spared: (c) => `${pod(c)} ${standing(c)}, and ${left(c)} without it ${facts(c)}.`,
};

/** What the caller of an allowed request should know; each fits the 256 characters of a warning. */
export function warnings(c: Case, reason: Reason): readonly string[] {
  const { target, request } = c.situation;
  const found = [...(WARNINGS[reason]?.(c) ?? []), ...denialWarnings(c), leaderWithoutPod(c)];
  if (voterGoes(reason) && target.onEmptyDir) {
    found.push(`${pod(c)} keeps its data on an emptyDir: it goes with the pod.`);
  }
  if (request.dryRun && voterGoes(reason) && isConfirmedLeader(c)) {
    const to = handOffCandidate(c)?.pod ?? 'another member';
    found.push(`Leadership of ${cluster(c)} would be moved from ${pod(c)} to ${to} first.`);
  }
  return found.map(oneLine).filter((text) => text !== '');
}

const WARNINGS: Partial<Readonly<Record<Reason, (c: Case) => string[]>>> = {
  NotGuarded: (c) =>
    c.situation.target.looksLikeEtcd
      ? [`${pod(c)} looks like etcd, but no EtcdGuard selects it: it is not protected.`]
      : [],
  BreakGlass: (c) => [`etcd-guard lets ${pod(c)} go unchecked: ${BREAK_GLASS_ANNOTATION} is set.`],
  Unverifiable: (c) => [
    `etcd-guard could not judge ${cluster(c)} and lets ${pod(c)} go by policy (unknown: Allow).`,
  ],
  QuorumAtRisk: (c) => [
    `${cluster(c)} loses its quorum without ${pod(c)}: ${left(c)}, quorum is ${c.view?.quorum ?? '?'} (policy quorum: Warn).`,
  ],
  Spared: (c) =>
    c.after.length === c.view?.quorum
      ? [
          `${cluster(c)} can lose no further member after ${pod(c)}: ${left(c)}, which is its quorum.`,
        ]
      : [],
};

/** What every answer says, allowed or not. */
export function denialWarnings(c: Case): string[] {
  const full = c.view?.noSpace ?? [];
  const found = addressWarnings(c);
  if (full.length > 0) {
    found.push(
      `${cluster(c)} has a NOSPACE alarm (member ${names(full)}): it refuses writes until it is defragmented and disarmed.`,
    );
  }
  return found;
}

/** Who answers is who is judged: an address that is wrong protects another pod than it seems. */
function addressWarnings(c: Case): string[] {
  if (c.view === null) return [];
  const found: string[] = [];
  const other = nameOfAnotherPod(c);
  if (other !== null) {
    found.push(
      `The member that answers for pod ${pod(c)} calls itself ${other}: check the addresses of EtcdGuard ${guardName(c)}.`,
    );
  }
  const shared = sharedAddress(c.situation.pods);
  if (shared !== null) found.push(`${shared}: only one member can be asked there.`);
  return found;
}

function voterGoes(reason: Reason): boolean {
  return reason === 'Spared' || reason === 'QuorumAtRisk' || reason === 'NothingToLose';
}

function leaderProtected(c: Case): string {
  if (!isConfirmedLeader(c)) return notConfirmedLeader(c);
  return `${pod(c)} ${c.readings.length > 1 ? 'may lead' : 'leads'} ${cluster(c)} ${facts(c)}. ${leaderAdvice(c)}`;
}

function notConfirmedLeader(c: Case): string {
  if (c.member?.namesItselfLeader === true) {
    return `${pod(c)} names itself leader of ${cluster(c)} ${facts(c)}, and the others have not proven that another one leads. Try again in a few seconds.`;
  }
  return `Leadership of ${cluster(c)} is being handed to ${pod(c)} ${facts(c)}. Try again in a few seconds.`;
}

function leaderAdvice(c: Case): string {
  const { handOff } = c.situation;
  const failed = handOff.kind === 'failed' ? `Moving leadership failed (${handOff.cause}). ` : '';
  const voters = c.view?.voters ?? 0;
  if (voters <= 2) return `${failed}${cannotSpare(voters)} ${breakGlass(c)}`;
  if (isShort(c)) return `${failed}Without it ${left(c)}. ${bringBack(c) || breakGlass(c)}`;
  return failed + (c.answer?.kind === 'status' ? moveFirst(c) : awaitElection(c));
}

/** etcdctl move-leader has to be sent to the leader. */
function awaitElection(c: Case): string {
  return `It does not answer etcd-guard (${whyNotHealthy(c)}), but others still name it: if it is down, they elect another within seconds; try again then.`;
}

/** The pod's own silence first: another pod may answer as its member. */
function whyNotHealthy({ answer, member }: Case): string {
  if (answer !== null && answer.kind !== 'status') return answer.cause;
  return member?.why ?? 'no answer';
}

function moveFirst(c: Case): string {
  const address = c.situation.pods.find(({ name }) => name === c.situation.target.name)?.address;
  const endpoint = address ? ` --endpoints=${address}` : '';
  const followers = c.after.flatMap((member) => member.pods.slice(0, 1)).sort();
  return `Move leadership first: etcdctl move-leader ${handOffCandidate(c)?.id ?? 'ID'}${endpoint}, or delete a follower: ${names(followers)}.`;
}

function quorumAtRisk(c: Case): string {
  if (c.own !== null && !isShort(c)) {
    const ago = Math.round(c.own.ageMs / 1000);
    return `${pod(c)} of ${cluster(c)} ${unused(c.own, ago)}; look at its PodDisruptionBudget, and try again later.`;
  }
  const voters = c.view?.voters ?? 0;
  const risk = `${pod(c)} is needed by ${cluster(c)} ${facts(c)}: without it ${left(c)}.`;
  if (voters <= 2) return `${risk} ${cannotSpare(voters)} ${breakGlass(c)}`;
  return `${risk} ${bringBack(c) || breakGlass(c)}`;
}

/** An entry with a candidate may stand for a hand-off that was cut short: nobody was allowed then. */
function unused({ handOffTo }: Reservation, ago: number): string {
  const refused = 'something behind the webhook refused it';
  return handOffTo === null
    ? `was allowed ${ago} s ago, but ${refused}`
    : `was to hand over leadership and go ${ago} s ago, but that was cut short, or ${refused}`;
}

function quorumLost(c: Case): string {
  const answering = podsThat(c, 'status');
  return `${upperFirst(cluster(c))} has no leader: ${names(answering)} ${answering.length === 1 ? 'answers and names' : 'answer and name'} none${silentOnes(c)}. ${pod(c)} may hold the last copy of its data. ${howLeaderComes(c)}. ${breakGlass(c)}`;
}

function howLeaderComes(c: Case): string {
  const missing = silentOnes(c) === '' ? missingOnes(c) : 'Bring the silent members back first';
  if (missing === null) return 'Wait for the election to end and try again';
  const { namespace } = c.situation.target;
  return `${missing} (see kubectl get pods -n ${namespace}, etcd-guard status -n ${namespace})`;
}

/** No election ends while most members have no pod; the survivors' own lists tell how many there were. */
function missingOnes(c: Case): string | null {
  const answers = [...(c.situation.answers?.values() ?? [])];
  const voting = answers.flatMap((answer) =>
    answer.kind === 'status' ? (answer.list ?? []).filter(({ learner }) => !learner) : [],
  );
  const voters = new Set(voting.map(({ id }) => id)).size;
  return voters > podsThat(c, 'status').length ? 'Bring back those that have no pod first' : null;
}

const AFTER_OBSTACLE: Readonly<Record<Obstacle['kind'], string>> = {
  OutOfTime: 'Try again',
  LedgerUnavailable: 'Try again once that works',
  Unread: 'Try again',
  Misconfigured: 'Mend that and try again',
};

/** What to do about it, as far as that depends on the cause. */
function whatHelps(c: Case): string {
  const { obstacle } = c.situation;
  if (obstacle !== null) return AFTER_OBSTACLE[obstacle.kind];
  if (c.view?.list === 'several')
    return "Make the EtcdGuard's selector match the pods of one cluster";
  if (answersForAnotherCluster(c)) return 'Look at what it runs and whom it joined';
  const unclear = c.view?.leader.kind !== 'confirmed';
  if (unclear && silentOnes(c) !== '') return onceTheyAnswer(c);
  return 'Try again in a few seconds; if that does not help, look into the logs of etcd';
}

function onceTheyAnswer(c: Case): string {
  const again = 'Try again once they answer';
  if (!allRefuseConnections(c)) return again;
  return `${again}; if etcd runs, look at port and addresses in spec.members of EtcdGuard ${guardName(c)}`;
}

function whyUnverifiable(c: Case): string {
  return whyNothingIsKnown(c) ?? whyClusterIsUnclear(c) ?? proofOf(c).why;
}

function whyNothingIsKnown(c: Case): string | null {
  const { obstacle } = c.situation;
  if (obstacle?.kind === 'OutOfTime') {
    const asked = c.situation.answers !== null;
    return asked ? `time ran out${silentOnes(c)}` : 'time ran out before etcd could be asked';
  }
  if (obstacle?.kind === 'LedgerUnavailable')
    return `no reservation can be made: ${obstacle.cause}`;
  return obstacle?.cause ?? null;
}

function whyClusterIsUnclear(c: Case): string | null {
  const noList = c.view === null ? null : whyNoList(c.view.list, silentOnes(c));
  if (noList !== null) return noList;
  if (answersForAnotherCluster(c)) return 'the pod answers for another cluster';
  if (c.view?.leader.kind === 'confirmed') return null;
  return `no quorum of voters names one leader${silentOnes(c)}`;
}

function notRunning({ situation: { target } }: Case): string {
  if (target.mirror) return 'is the mirror of a static pod';
  return target.unscheduled ? 'has never been scheduled' : 'has ended, and its member is silent';
}

function listed(c: Case): string {
  const others = (c.view?.members ?? []).flatMap((member) => member.pods.slice(0, 1)).sort();
  return others.length === 0 ? '' : ` (its members are ${names(others)})`;
}

/** One that does not count is told of at the end of every refusal, with what makes it count. */
function glassHolds({ situation }: Case): string {
  const why = whyGlassHolds(situation);
  return why === '' ? '' : `${why} ${toLetItGo(situation)}`;
}

function breakGlass({ situation }: Case): string {
  return whyGlassHolds(situation) === '' ? toLetItGo(situation) : '';
}

function toLetItGo(situation: Situation): string {
  const { namespace, name, uid } = situation.target;
  // An eviction of a pod that is known by name alone can't show its annotations; a DELETE brings them.
  const unseen = situation.request.operation === 'eviction' && uid === null;
  const andThen = unseen ? `, and then kubectl delete pod ${name} -n ${namespace}` : '';
  return `To let it go all the same: ${breakGlassCommand(situation)}${andThen}`;
}

function cannotSpare(voters: number): string {
  return voters === 1
    ? 'A cluster of one voter can spare nobody: add members first.'
    : 'A cluster of two voters can spare nobody: add a third member first.';
}

/** In a dry run the leader is judged as the follower that it would be. */
function standing(c: Case): string {
  if (isConfirmedLeader(c)) return `leads ${cluster(c)} but would hand over first`;
  return `follows in ${cluster(c)}`;
}

function left(c: Case): string {
  const n = c.after.length;
  return `${n} healthy ${n === 1 ? 'voter' : 'voters'} would be left`;
}

function facts({ memberId, readings, view }: Case): string {
  if (view === null || view.list !== 'agreed') return '';
  const perhaps = readings.length > 1 ? 'perhaps ' : '';
  const id = memberId === null ? '' : `${perhaps}member ${memberId}, `;
  return `(${id}term ${view.term ?? '?'}; ${view.healthyVoters}/${view.voters} voters healthy, quorum ${view.quorum})`;
}

function silentOnes(c: Case): string {
  const silent = c.situation.pods.flatMap(({ name }) => {
    const answer = c.situation.answers?.get(name);
    if (answer?.kind === 'status') return [];
    const address = addressOf(c, name);
    return [`${name}${address === null ? '' : ` at ${address}`}: ${answer?.cause ?? 'not asked'}`];
  });
  return silent.length === 0 ? '' : ` (${names(silent)})`;
}

function podsThat(c: Case, kind: 'status'): readonly string[] {
  return [...(c.situation.answers ?? [])].flatMap(([name, a]) => (a.kind === kind ? [name] : []));
}
