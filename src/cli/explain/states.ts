import type { Explanation } from './reasons.ts';

const GUARD_STANDS = 'status of an EtcdGuard';

/** What the column REASON of `kubectl get etcdguards` can say, the gravest first. */
export const TROUBLES: readonly Explanation[] = [
  {
    reason: 'NamespaceNotLabelled',
    outcome: `nothing is protected (${GUARD_STANDS})`,
    means:
      'The API server asks no guard about this namespace, whatever the other columns show. These still tell how etcd is, and DISRUPTIONS ALLOWED what it could spare.',
    next: ["Run the command in the condition's message: kubectl describe etcdguard NAME."],
  },
  {
    reason: 'WebhookNotRegistered',
    outcome: `nothing is protected (${GUARD_STANDS})`,
    means: 'There is no webhook configuration of ours, so no guard is asked in any namespace.',
    next: ['Apply it: kubectl apply -k deploy/webhook.'],
  },
  {
    reason: 'Invalid',
    outcome: `deletions of its pods are refused (${GUARD_STANDS})`,
    means:
      "The spec can't be used, such as handOff: [Eviction] or a selector that no pod can meet, where the API server did not refuse it (before 1.25, or applied with an older CRD).",
    next: ['Correct the field that the message names.'],
  },
  {
    reason: 'OverlapsAnotherGuard',
    outcome: `deletions of the pods are refused (${GUARD_STANDS})`,
    means: 'Two guards select the same pods.',
    next: ['Narrow one selector, or delete one guard.'],
  },
  {
    reason: 'NoPodSelected',
    outcome: `nothing is protected by it (${GUARD_STANDS})`,
    means: 'No pod matches the selector, which the message repeats.',
    next: ['Correct spec.selector, or start the pods.'],
  },
  {
    reason: 'PodsNotRead',
    outcome: `its pods are not known (${GUARD_STANDS})`,
    means: "The pods can't be listed.",
    next: ["Look at the guard's log, which names the right that is missing."],
  },
  {
    reason: 'NotAsked',
    outcome: `deletions can't be judged (${GUARD_STANDS})`,
    means:
      "etcd can't be asked, through no fault of etcd: a Secret is missing, wrong, or may not be read.",
    next: [
      'See the message, which names it.',
      'The component deploy/webhook/components/secrets grants the right to read it.',
    ],
  },
  {
    reason: 'NoAgreedMemberList',
    outcome: `deletions can't be judged (${GUARD_STANDS})`,
    means: 'Too few members answer with one member list.',
    next: [
      "See the message, which has each member's answer, and bring back whoever is silent.",
      'To see who answers now: etcd-guard status. docs/decision.md says how etcd-guard decides.',
    ],
  },
  {
    reason: 'SeveralMemberLists',
    outcome: `deletions can't be judged (${GUARD_STANDS})`,
    means: 'The pods answer for two clusters, each with a quorum.',
    next: [
      'Narrow spec.selector to the pods of one cluster: etcd-guard status shows who says what.',
    ],
  },
  {
    reason: 'NoLeader',
    outcome: `the quorum is lost (${GUARD_STANDS})`,
    means:
      'Voters answer, and none of them names a leader. During an election that is so for seconds.',
    next: ['If it lasts, bring the silent members back. The message names them.'],
  },
  {
    reason: 'LeaderUnclear',
    outcome: `deletions can't be judged (${GUARD_STANDS})`,
    means: 'No quorum of voters names the same leader, as during an election.',
    next: ['If it lasts, look at the members that the message names.'],
  },
  {
    reason: 'NotAllVotersHealthy',
    outcome: `fewer may be deleted, or none (${GUARD_STANDS})`,
    means: 'A leader is confirmed, but not every voter is healthy.',
    next: ['Look at the members that the message names; it says why each is not healthy.'],
  },
];

/** What else the conditions can say, which is no trouble or only the echo of one. */
const OTHER_STATES: readonly Explanation[] = [
  {
    reason: 'NotReachable',
    outcome: `not known (${GUARD_STANDS})`,
    means: "Whether etcd is healthy can't be told, since the condition Reachable is not True.",
    next: ['See the reason of the condition Reachable.'],
  },
  {
    reason: 'FieldsIgnored',
    outcome: `accepted (${GUARD_STANDS})`,
    means: 'The spec has fields that this version of etcd-guard does not know and goes without.',
    next: ['Upgrade etcd-guard, or take the fields out; the message names them.'],
  },
  {
    reason: 'Accepted',
    outcome: `all is well (${GUARD_STANDS})`,
    means: 'The guard is valid, selects pods, and the API server asks about their deletions.',
    next: ['Nothing.'],
  },
  {
    reason: 'QuorumAnswers',
    outcome: `all is well (${GUARD_STANDS})`,
    means: 'A quorum of voters answers with one member list.',
    next: ['Nothing.'],
  },
  {
    reason: 'AllVotersHealthy',
    outcome: `all is well (${GUARD_STANDS})`,
    means: 'A leader is confirmed, and every voter is healthy.',
    next: ['Nothing.'],
  },
];

/** Every reason that a condition of an EtcdGuard can have. */
export const STATES: readonly Explanation[] = [...TROUBLES, ...OTHER_STATES];
