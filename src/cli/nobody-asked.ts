import type { Unprotected } from '../kubernetes/guards/protection.ts';
import { sentence } from './cluster-error.ts';
import type { Finding } from './finding.ts';

/**
 * What a dry run comes to where the API server asks no guard: nobody judges the pod, whatever a guard
 * would say. A guard's own answer by way of the API server shows that it is asked after all.
 */
export function whereNobodyIsAsked(
  finding: Finding,
  pod: string,
  unprotected: Unprotected | null,
): Finding {
  const { guard, via, reason, decision, message } = finding;
  if (unprotected === null || guard === null) return finding;
  if (via === 'webhook' && reason !== null && reason !== 'Unverifiable') return finding;
  const because = sentence(unprotected.message);
  // Others refuse it, or it is going already, whether a guard is asked or not.
  if (reason === null || reason === 'AlreadyGoing') {
    return { ...finding, warnings: [...finding.warnings, because] };
  }
  const asked =
    reason === 'Unverifiable'
      ? []
      : [`A guard that is asked would ${decision} it (${reason}): ${message}`];
  const nobody = `Nobody judges whether ${pod} may go, and so it would go. ${because}`;
  return {
    ...finding,
    decision: 'allow',
    reason: 'Unverifiable',
    message: [nobody, ...asked].join(' '),
  };
}
