import { REASONS, type Reason } from '../decision/situation.ts';

/** What a dry run that is let through is told, so that it can be told from one that nobody judged. */
export function dryRunNotice(pod: string, reason: Reason): string {
  return `etcd-guard would let ${pod} go (${reason}).`;
}

const NOTICE = /^etcd-guard would let \S+ go \((?<reason>[A-Za-z]+)\)\.$/;

/** The reason in a notice; null for any other warning. */
export function noticedReason(warning: string): Reason | null {
  const given = NOTICE.exec(warning)?.groups?.['reason'];
  return REASONS.find((reason) => reason === given) ?? null;
}
