import { REASONS, type Reason } from '../../decision/situation.ts';
import { GATE_STATES } from './gate-states.ts';
import { LOCK_ANSWERS } from './lock-answers.ts';
import { LOCK_STATES } from './lock-states.ts';
import { STATES } from './states.ts';

/** A reason that answers, Events, conditions, metrics and logs give, for people. */
export interface Explanation {
  readonly reason: string;
  /** What becomes of the request. */
  readonly outcome: string;
  readonly means: string;
  /** What to do next, a step each. */
  readonly next: readonly string[];
}

const DECISIONS: Readonly<Record<Reason, Omit<Explanation, 'reason'>>> = {
  NotGuarded: {
    outcome: 'allowed',
    means:
      'No EtcdGuard in the namespace of the pod selects it, so etcd-guard has nothing to protect.',
    next: [
      "If it is an etcd pod, look at the guard's spec.selector and the pod's labels: kubectl get etcdguards -o yaml, kubectl get pod POD --show-labels.",
    ],
  },
  AlreadyGoing: {
    outcome: 'allowed',
    means:
      'The pod is being deleted already. Its last DELETE has to pass, or it would hang in Terminating. etcd was not asked.',
    next: ['Nothing. Wait for its replacement: etcd-guard wait POD --for=healthy.'],
  },
  NotRunningHere: {
    outcome: 'allowed',
    means:
      'No etcd member goes with this pod object: it is the mirror of a static pod, was never scheduled, or has ended (Succeeded, Failed) while its member is silent and no voter names it leader.',
    next: ['Nothing. A static pod is removed by its manifest on the node, which no webhook sees.'],
  },
  PreconditionStale: {
    outcome: 'allowed',
    means:
      'The request is for another pod of that name: its uid precondition does not match. The API server refuses it itself.',
    next: ['Nothing, unless it comes again and again: then whoever asks has an outdated view.'],
  },
  BreakGlass: {
    outcome: 'allowed, with a warning, an Event and a metric',
    means:
      'The pod has the annotation etcd-guard.io/break-glass with a reason, and that has not expired. etcd was not asked.',
    next: [
      'If nobody meant that, take it off: kubectl annotate pod POD etcd-guard.io/break-glass-',
      'Next time limit it: etcd-guard.io/break-glass-until takes a time such as 2030-01-31T12:00:00Z.',
    ],
  },
  AmbiguousGuard: {
    outcome: 'refused',
    means:
      'More than one EtcdGuard selects the pod, so it is not clear which cluster it belongs to, nor in which ledger it would be reserved.',
    next: [
      'Make the selectors of the guards that the message names disjoint, or delete one guard.',
    ],
  },
  KnownDown: {
    outcome: 'allowed',
    means:
      'The member is dead for certain: its container is not running, its Node is Ready, and it does not answer. A leader is confirmed, or its data is not on an emptyDir.',
    next: ['Nothing. The pod may be replaced; wait until it is healthy before the next one goes.'],
  },
  Unverifiable: {
    outcome: 'refused (with policy.unknown Allow: allowed with a warning)',
    means:
      "etcd can't be judged: no quorum of voters gives one member list or names one leader, the members that would be left could not prove that they go on without this one, time ran out, or the reservation could not be written. Where evidence is missing the answer is no.",
    next: [
      'Read the message: it says what is missing, and who was silent.',
      'See who answers: etcd-guard status.',
      'Without etcd-guard on the command line: kubectl delete pod POD --dry-run=server asks again, and deletes nothing.',
      'During an election it is over within seconds: try again.',
      'Too many reviews at once: that passes too; if it comes again and again, give the guard more processor time or replicas.',
      "If members are silent for good, look at their pods, their network and the guard's TLS and password Secrets.",
      'If the pod has to go all the same: kubectl annotate pod POD etcd-guard.io/break-glass="REASON".',
    ],
  },
  NotAMember: {
    outcome: 'allowed',
    means:
      'The pod runs no member of the cluster: it answers as none, or all members are known to be other pods.',
    next: ['If it should be a member, look at etcdctl member list, and why it never joined.'],
  },
  Learner: {
    outcome: 'allowed',
    means: 'Its member is a learner: it has no vote, so the quorum does not need it.',
    next: ['Nothing. It has to catch up anew once it is back, before it can be promoted.'],
  },
  LeaderProtected: {
    outcome: 'refused, or leadership is moved first for callers in policy.handOff',
    means:
      'Its member leads the cluster, or names itself leader and nothing refutes that, or is just being handed leadership. To kill a leader stops writes until another is elected.',
    next: [
      'Move leadership first: etcdctl move-leader with the id in the message, or etcd-guard handoff POD.',
      'Or evict it instead of deleting it (kubectl drain does): then etcd-guard moves leadership by itself.',
      'Or delete a follower; the message names those that can go.',
      'Without etcd-guard on the command line: kubectl delete pod POD --dry-run=server asks again, and deletes nothing.',
    ],
  },
  QuorumLost: {
    outcome: 'refused',
    means:
      'Voters answer, and none of them names a leader: the quorum is lost, or an election goes on. Whoever is left may hold the last copy of the data.',
    next: [
      'Wait some seconds: an election may just be going on.',
      'Bring the silent members back; their pods can be deleted when they are known to be down.',
      'If they are lost for good, recover etcd from a snapshot or with --force-new-cluster before you delete anything.',
      'If the pod has to go all the same: kubectl annotate pod POD etcd-guard.io/break-glass="REASON".',
    ],
  },
  NothingToLose: {
    outcome: 'allowed',
    means:
      'The member is not healthy anyway, and a quorum of healthy voters without it has proven that it goes on.',
    next: ['Nothing. Wait until its replacement is healthy before the next one goes.'],
  },
  QuorumAtRisk: {
    outcome: 'refused (with policy.quorum Warn: allowed with a warning)',
    means:
      'Without this pod fewer healthy voters than the quorum would be left, and etcd would stop. A deleted pod stays a voter: the quorum does not get smaller.',
    next: [
      'See the arithmetic: etcd-guard check POD.',
      'Without etcd-guard on the command line: kubectl delete pod POD --dry-run=server asks again, and deletes nothing.',
      'Bring back whoever is not healthy; the message names them and says why. Then try again: etcd-guard wait POD --for=deletable.',
      'A pod that was just allowed to go counts as gone for up to two minutes.',
      'A member without a pod: wait until its pod is back, or see that the guard selects it (labels, spec.selector, in files the addresses).',
      'Only a member that is gone for good is removed from etcd. See first that it runs nowhere and does not lead (etcdctl endpoint status --cluster), then: etcdctl member remove with its id from etcdctl member list.',
      'A cluster of one or two voters can spare nobody: add members first.',
    ],
  },
  Spared: {
    outcome: 'allowed',
    means:
      'A healthy follower, and a quorum of healthy voters without it has proven that it goes on. Its place in the ledger is reserved, so that nobody else gets the same spare at the same moment.',
    next: ['Nothing. Wait until it is healthy again before the next one goes.'],
  },
};

const OTHERS: readonly Explanation[] = [
  {
    reason: 'BadRequest',
    outcome: 'refused',
    means:
      'What arrived at /validate is no AdmissionReview that can be read. It is counted and answered with an error; no pod is concerned.',
    next: [
      'Look at who sends it: an API server never does. A health check belongs to /healthz on the other port.',
    ],
  },
  {
    reason: 'InternalError',
    outcome: 'refused',
    means:
      'etcd-guard itself failed: it could not find out what is guarded (the API server, a permission, the CRD), or has a bug.',
    next: [
      "Read the message and the guard's log: kubectl logs -n etcd-guard deploy/etcd-guard.",
      'If deletions have to go on meanwhile, delete the webhook configuration: kubectl delete validatingwebhookconfiguration etcd-guard. Nothing is protected then.',
    ],
  },
  {
    reason: 'HandOffRefused',
    outcome: 'refused (Event)',
    means:
      'The caller would have got a hand-off, but the leader could not be spared even as a follower, so leadership stayed where it was.',
    next: ['As for QuorumAtRisk: bring back whoever is not healthy, then try again.'],
  },
  {
    reason: 'HandOffFailed',
    outcome: 'refused (Event)',
    means:
      'etcd-guard tried to move leadership, and etcd refused, did not answer in time, or nobody confirmed the new leader in time.',
    next: [
      'Try again: the move may have come through late.',
      'If a right is missing, the message says which: some versions of etcd want root for MoveLeader.',
    ],
  },
  {
    reason: 'LeadershipMoved',
    outcome: 'leadership was moved (Event)',
    means:
      'A caller in policy.handOff wanted the leader gone, so leadership was moved first; the request was then judged as one for a follower.',
    next: ['Nothing.'],
  },
  {
    reason: 'UnverifiableAllowed',
    outcome: 'allowed by policy (Event)',
    means:
      "etcd could not be judged, and policy.unknown is Allow: the pod went without anybody's word.",
    next: [
      'Look at etcd-guard status now. Set policy.unknown to Deny if that is not what you want.',
    ],
  },
  {
    reason: 'QuorumAtRiskAllowed',
    outcome: 'allowed by policy (Event)',
    means: 'The quorum needed the pod, and policy.quorum is Warn: it went all the same.',
    next: [
      'Look at etcd-guard status now. Set policy.quorum to Enforce if that is not what you want.',
    ],
  },
  {
    reason: 'Locked',
    outcome: 'refused',
    means:
      'An ExclusiveLock holds the object, and whoever asked is none of its exclusive actors. Every lock that holds an object must let the actor pass.',
    next: [
      'See who may: kubectl get exclusivelocks. The message names the lock and its reason.',
      'To end it: kubectl delete exclusivelock NAME, which RBAC governs. docs/locks.md has the way out where that is refused too.',
    ],
  },
  {
    reason: 'LockedAllowed',
    outcome: 'allowed with a warning (Event)',
    means:
      'An ExclusiveLock holds the object, whoever asked is none of its exclusive actors, and its enforcement is Warn.',
    next: ['Set spec.enforcement to Deny once nobody is warned any more who should pass.'],
  },
];

/**
 * All that there are: those of the decision table first, in its order; those of conditions last. One
 * that is said of several things, such as of guards and of locks, stands there for each.
 */
export const EXPLANATIONS: readonly Explanation[] = [
  ...REASONS.map((reason) => ({ reason, ...DECISIONS[reason] })),
  ...OTHERS,
  ...LOCK_ANSWERS,
  ...STATES,
  ...GATE_STATES,
  ...LOCK_STATES,
];

/** What they explain, in that order, each once. */
export const EXPLAINED: readonly string[] = [...new Set(EXPLANATIONS.map(({ reason }) => reason))];
