import type { Explanation } from './reasons.ts';

const LOCK_STANDS = 'status of an ExclusiveLock';

/** Every reason that a condition of an ExclusiveLock can have, in the order of its conditions. */
export const LOCK_STATES: readonly Explanation[] = [
  {
    reason: 'InvalidSpec',
    outcome: `the lock holds as far as it can be read, or nothing (${LOCK_STANDS})`,
    means:
      "Part of the spec can't be read: a newer version wrote it, or an API server before 1.25 let it through. What can't be read makes the lock no weaker; but without a selector that can be read it holds nothing, and InForce says InvalidSpec too.",
    next: ['Correct the field that the message names.'],
  },
  {
    reason: 'ImpossibleSelector',
    outcome: `the lock holds nothing (${LOCK_STANDS})`,
    means: 'No labels can meet the selector.',
    next: ['Correct spec.selector; the message names the label.'],
  },
  {
    reason: 'UnknownResource',
    outcome: `the resource is not locked (${LOCK_STANDS})`,
    means: 'The API server serves no resource of that name in namespaces.',
    next: [
      'Correct spec.resources: plural names in lower case, with their group, such as statefulsets.apps. The message has what was probably meant.',
    ],
  },
  {
    reason: 'Accepted',
    outcome: `the spec is valid (${LOCK_STANDS})`,
    means: 'All of it can be read, and the API server serves every resource that it names.',
    next: ['Nothing. Whether it holds anything now is said by the condition InForce.'],
  },
  {
    reason: 'Terminating',
    outcome: `the lock holds nothing (${LOCK_STANDS})`,
    means: 'It is being deleted. A finalizer may still keep the object.',
    next: ['Nothing.'],
  },
  {
    reason: 'Expired',
    outcome: `the lock holds nothing (${LOCK_STANDS})`,
    means: 'Its spec.until is past.',
    next: ['Delete it, or move spec.until.'],
  },
  {
    reason: 'NamespaceNotLabelled',
    outcome: `the lock holds nothing (${LOCK_STANDS})`,
    means: 'The webhook for locks is not asked about this namespace.',
    next: ["Run the command in the condition's message: kubectl describe exclusivelock NAME."],
  },
  {
    reason: 'ResourceNotAsked',
    outcome: `some of its resources are not locked (${LOCK_STANDS})`,
    means: 'The rules of the webhook for locks do not name every resource that the lock names.',
    next: [
      'Add it, and its subresources, to webhook.yaml of the component exclusive-locks, or take it out of spec.resources.',
    ],
  },
  {
    reason: 'WebhookNotRegistered',
    outcome: `no lock holds anything (${LOCK_STANDS})`,
    means: 'There is no webhook configuration for locks.',
    next: ['Add the component deploy/webhook/components/exclusive-locks to your kustomization.'],
  },
  {
    reason: 'Warns',
    outcome: `changes by others are allowed with a warning (${LOCK_STANDS})`,
    means: 'The lock is in force, and its enforcement is Warn.',
    next: ['Set spec.enforcement to Deny once nobody is warned any more who should pass.'],
  },
  {
    reason: 'Enforced',
    outcome: `changes by others are refused (${LOCK_STANDS})`,
    means: 'The lock is in force.',
    next: ['Nothing.'],
  },
  {
    reason: 'NotCounted',
    outcome: `locked, but not counted (${LOCK_STANDS})`,
    means:
      'MATCHED leaves out some resources, which etcd-guard has no right to list, such as Secrets. They are locked all the same.',
    next: ['Nothing. To have resources of your own counted, grant list for them.'],
  },
  {
    reason: 'Counted',
    outcome: `MATCHED is right (${LOCK_STANDS})`,
    means: 'It counts all that the lock holds.',
    next: ['Nothing.'],
  },
];
