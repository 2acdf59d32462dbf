import type { Explanation } from './reasons.ts';

const FIT = 'the pod is Ready once its containers are (condition etcd-guard.io/InSync)';
/** Told by what the member itself answered, which takes a pod that was Ready out of service, too. */
const UNFIT = 'the pod is not Ready (condition etcd-guard.io/InSync)';
const UNKNOWN =
  'a new pod is not Ready yet, one that was stays so (condition etcd-guard.io/InSync)';

const READ_IT = 'Read the message: kubectl get pod POD -o yaml has it, under status.conditions.';
const BEFORE_A_QUORUM =
  'While a whole cluster starts: no pod can pass the gate before a quorum runs, so podManagementPolicy has to be Parallel, and the headless Service needs publishNotReadyAddresses: true.';

/** Every reason that the condition of a pod with the readiness gate can have. */
export const GATE_STATES: readonly Explanation[] = [
  {
    reason: 'HealthyVoter',
    outcome: FIT,
    means: 'Its member is a healthy voter that has caught up with the leader.',
    next: [
      'Nothing. If the pod is not Ready all the same, look at its probes: kubectl describe pod POD.',
    ],
  },
  {
    reason: 'Behind',
    outcome: UNFIT,
    means:
      'Its member answers and follows the leader, but is spec.policy.maxRaftLag entries behind, or more. A rolling update waits for it.',
    next: [
      'Wait, and watch LAG fall: etcd-guard status --watch.',
      'If it does not fall, look at the log, the disk and the network of the member.',
      'If it catches up again and again but never for long, because much is written, raise spec.policy.maxRaftLag.',
    ],
  },
  {
    reason: 'Learner',
    outcome: UNFIT,
    means: 'Its member is a learner: it has no vote yet.',
    next: [
      'Once it has caught up, promote it: etcdctl member promote with its id from etcdctl member list.',
    ],
  },
  {
    reason: 'Unhealthy',
    outcome: UNFIT,
    means:
      'Its member answers, but does not follow the confirmed leader, gives another member list, or has a CORRUPT alarm.',
    next: [
      READ_IT,
      'If it follows nobody or somebody else, look at its log, and at the network between the members. After an election it is over within seconds.',
      'A CORRUPT member is to be removed from etcd and added anew, with an empty data directory.',
    ],
  },
  {
    reason: 'NotAMember',
    outcome: UNFIT,
    means:
      'Its member answers, but the member list does not have it: it was removed, was never added, or has the data of another cluster.',
    next: [
      'Compare the id in the message with etcdctl member list.',
      'If it was removed on purpose, the pod is one too many: scale the StatefulSet down.',
      'Else add it anew (etcdctl member add), and start it with an empty data directory.',
    ],
  },
  {
    reason: 'NoAnswer',
    outcome: UNKNOWN,
    means:
      'Its member does not answer etcd-guard, or refuses to be asked; the message has the cause. That is so while etcd starts.',
    next: [
      READ_IT,
      'If it lasts, look at what etcd says: kubectl logs POD.',
      "If no member answers etcd-guard, look at the guard's spec.members (port, TLS, user) and at the network: etcd-guard status.",
    ],
  },
  {
    reason: 'NoMemberList',
    outcome: UNKNOWN,
    means: 'Its member answers, but no quorum of the voters gives one member list.',
    next: [BEFORE_A_QUORUM, 'If it lasts, bring back whoever is silent: etcd-guard status.'],
  },
  {
    reason: 'NoLeader',
    outcome: UNKNOWN,
    means:
      'Its member answers, but no quorum of the voters names one leader. During an election that is so for seconds.',
    next: [BEFORE_A_QUORUM, 'If it lasts, bring back whoever is silent: etcd-guard status.'],
  },
];
