import type { Explanation } from './reasons.ts';

/** What lets a change pass that an ExclusiveLock may be about; in metrics and logs. */
export const LOCK_ANSWERS: readonly Explanation[] = [
  {
    reason: 'NotLocked',
    outcome: 'allowed',
    means: 'No ExclusiveLock that is in force holds the object.',
    next: [
      "If one should, see its selector, resources and conditions: kubectl describe exclusivelock NAME; and the object's labels.",
    ],
  },
  {
    reason: 'Exclusive',
    outcome: 'allowed',
    means:
      'The object is locked, and whoever asked is an exclusive actor of every lock that holds it.',
    next: ['Nothing.'],
  },
  {
    reason: 'Essential',
    outcome: 'allowed',
    means:
      'The object may be locked, but the change is one that the cluster itself cannot do without, so no lock is asked.',
    next: ['Nothing. docs/locks.md has the list of what always passes.'],
  },
  {
    reason: 'Warned',
    outcome: 'allowed, with a warning',
    means:
      'The object is locked, whoever asked is no exclusive actor, and every lock that would refuse it only warns.',
    next: ['Set spec.enforcement to Deny once nobody is warned any more who should pass.'],
  },
];
