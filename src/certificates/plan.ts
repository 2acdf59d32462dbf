import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { isSame } from './pem.ts';
import type { Serving, Stored } from './stored.ts';
import { dueBecause, hasExpired, validityOf, type Lifetimes } from './validity.ts';

/** All that the next step rests on. */
export interface Situation {
  /** What the Secret holds. */
  readonly stored: Stored;
  /** What this replica serves; null: nothing yet. */
  readonly served: Serving | null;
  /** The last whole content of the Secret that this replica has seen; null: none. */
  readonly remembered: Stored | null;
  /** Names under which callers ask for us. */
  readonly names: readonly string[];
  readonly lifetimes: Lifetimes;
  readonly nowMs: number;
  /** Whether callers have trusted this authority for long enough. */
  readonly isSettled: (authority: X509Certificate) => boolean;
  /** Authorities of guards that callers trust now: other replicas may serve from them. */
  readonly trusted: readonly X509Certificate[];
  /** Nobody asks us, or whom callers trust is out of our hands. */
  readonly powerless: boolean;
}

/** One change of the Secret. Each leaves it such that any replica can go on from there. */
export type Step =
  | { readonly kind: 'none' }
  /** The next certificate can't be issued before callers trust its authority. */
  | { readonly kind: 'wait'; readonly why: string }
  | {
      readonly kind: 'restore';
      readonly stored: Stored;
      /** Trusted although it does not know them. */
      readonly inherited: readonly X509Certificate[];
    }
  | {
      readonly kind: 'adopt';
      readonly authorities: readonly X509Certificate[];
      readonly until: Date;
    }
  | {
      readonly kind: 'new-authority';
      readonly why: string;
      /** Trusted although the Secret does not know them. */
      readonly inherited: readonly X509Certificate[];
    }
  | { readonly kind: 'issue'; readonly why: string }
  | { readonly kind: 'retire'; readonly authorities: readonly X509Certificate[] };

/**
 * What is to be done to the Secret next. The order keeps callers' trust ahead of what is served: an
 * authority is added first and signs only once callers trust it; one is dropped only after the last
 * certificate that it signed has expired.
 */
export function nextStep(situation: Situation): Step {
  const { stored, remembered } = situation;
  const [signer] = stored.authorities;
  if (signer === undefined) return beginAnew(situation, remembered);
  const orphaned = adoption(situation);
  if (orphaned !== null) return orphaned;
  const why = authorityFault(situation, signer);
  if (why !== null) return { kind: 'new-authority', why, inherited: [] };
  return issuance(situation, signer) ?? retirement(situation, signer);
}

/**
 * What a replica serves is better than anything new: callers trust it already. Whatever else they
 * trust now, another replica may serve from.
 */
function beginAnew({ trusted, nowMs }: Situation, remembered: Stored | null): Step {
  const known = remembered?.authorities ?? [];
  const inherited = trusted.filter(
    (authority) => !hasExpired(authority, nowMs) && !known.some((one) => isSame(one, authority)),
  );
  return remembered === null
    ? { kind: 'new-authority', why: 'there is none', inherited }
    : { kind: 'restore', stored: remembered, inherited };
}

/**
 * What this replica serves from, and, before the first certificate, what others may serve from: the
 * Secret has to know it, or the next caBundle would leave it out.
 */
function adoption({ stored, served, trusted, lifetimes, nowMs }: Situation): Step | null {
  const isMissing = (one: X509Certificate): boolean =>
    !stored.authorities.some((other) => isSame(one, other));
  if (served !== null && !hasExpired(served.leaf, nowMs) && isMissing(served.issuer)) {
    return { kind: 'adopt', authorities: [served.issuer], until: served.leaf.validToDate };
  }
  if (stored.serving !== null) return null;
  const authorities = trusted.filter((one) => isMissing(one) && !hasExpired(one, nowMs));
  const until = new Date(nowMs + lifetimes.servingMs);
  return authorities.length === 0 ? null : { kind: 'adopt', authorities, until };
}

function authorityFault(
  { stored, lifetimes, nowMs }: Situation,
  signer: X509Certificate,
): string | null {
  if (stored.key === null) return 'its key is missing';
  return dueBecause(validityOf(signer), lifetimes.authorityMs, nowMs);
}

function issuance(situation: Situation, signer: X509Certificate): Step | null {
  const why = servingFault(situation, signer);
  if (why === null) return null;
  return maySign(situation, signer) ? { kind: 'issue', why } : { kind: 'wait', why };
}

function servingFault(
  { stored, names, lifetimes, nowMs }: Situation,
  signer: X509Certificate,
): string | null {
  const { serving } = stored;
  if (serving === null) return 'there is none';
  if (!isSame(serving.issuer, signer)) return 'its authority is being replaced';
  const lacking = names.find((name) => !isFor(serving.leaf, name));
  if (lacking !== undefined) return `it is not for ${lacking}`;
  return dueBecause(validityOf(serving.leaf), lifetimes.servingMs, nowMs);
}

function maySign(situation: Situation, signer: X509Certificate): boolean {
  const { stored, trusted, powerless, nowMs } = situation;
  const { serving } = stored;
  if (serving !== null && isSame(serving.issuer, signer)) return true;
  if (situation.isSettled(signer)) return true;
  if (serving === null) {
    // With another authority about, some replica may serve from it.
    const isOnly = [...stored.authorities, ...trusted].every((one) => isSame(one, signer));
    return powerless || isOnly;
  }
  return powerless && hasExpired(serving.leaf, nowMs);
}

function retirement({ stored, nowMs }: Situation, signer: X509Certificate): Step {
  const { serving, retireAfter } = stored;
  const isOver = (one: X509Certificate): boolean =>
    retireAfter === null ? hasExpired(one, nowMs) : retireAfter.getTime() < nowMs;
  const authorities = stored.authorities.filter(
    (one) =>
      !isSame(one, signer) && serving !== null && !isSame(one, serving.issuer) && isOver(one),
  );
  return authorities.length === 0 ? { kind: 'none' } : { kind: 'retire', authorities };
}

function isFor(leaf: X509Certificate, name: string): boolean {
  const found = isIP(name) === 0 ? leaf.checkHost(name) : leaf.checkIP(name);
  return found !== undefined;
}
