/** From when to when a certificate is accepted. */
export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** How long what we make is valid; a third of it before the end it is made anew. */
export interface Lifetimes {
  readonly authorityMs: number;
  readonly servingMs: number;
}

const DAY_MS = 86_400_000;

/** Ten years for the authority, 90 days for what it signs. */
export const LIFETIMES: Lifetimes = { authorityMs: 3_652 * DAY_MS, servingMs: 90 * DAY_MS };

/** For callers whose clock is behind ours. */
const SKEW_MS = 3_600_000;

/** Whether it is to be made anew; null: no, else why. What is left counts, not what is past. */
export function dueBecause(
  { notBefore, notAfter }: Validity,
  lifetimeMs: number,
  nowMs: number,
): string | null {
  if (notBefore.getTime() > nowMs) return `it is not valid before ${notBefore.toISOString()}`;
  if (notAfter.getTime() <= nowMs) return `it expired at ${notAfter.toISOString()}`;
  if (notAfter.getTime() - nowMs < lifetimeMs / 3) return `it expires at ${notAfter.toISOString()}`;
  return null;
}

/**
 * The validity of a successor: valid wherever its predecessor was. So a replica whose clock is wrong
 * takes nothing from those whose clock is right, and two that disagree don't renew against each other.
 */
export function succeeding(previous: Validity | null, lifetimeMs: number, nowMs: number): Validity {
  const notBefore = nowMs - SKEW_MS;
  const notAfter = nowMs + lifetimeMs;
  return {
    notBefore: new Date(Math.min(notBefore, previous?.notBefore.getTime() ?? notBefore)),
    notAfter: new Date(Math.max(notAfter, previous?.notAfter.getTime() ?? notAfter)),
  };
}

/** The validity of a parsed certificate. */
export function validityOf(certificate: {
  readonly validFromDate: Date;
  readonly validToDate: Date;
}): Validity {
  return { notBefore: certificate.validFromDate, notAfter: certificate.validToDate };
}

/** Whether it has ended by this clock. */
export function hasExpired(certificate: { readonly validToDate: Date }, nowMs: number): boolean {
  return certificate.validToDate.getTime() <= nowMs;
}
