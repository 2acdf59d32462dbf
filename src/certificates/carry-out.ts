import { X509Certificate } from 'node:crypto';
import { checkCertificate } from '../server/certificate.ts';
import { issueServing, newAuthority } from './issue.ts';
import { isSame, signingKey } from './pem.ts';
import type { Situation, Step } from './plan.ts';
import { NOTHING, type Stored } from './stored.ts';
import { succeeding, validityOf } from './validity.ts';

/** Steps that change the Secret. */
export type Change = Exclude<Step, { readonly kind: 'none' | 'wait' }>;

/** What is over by this clock may be valid by that of a replica that still serves it. */
const HAND_OVER_MS = 3_600_000;

/** What the Secret is to hold after the step; makes keys, but writes nothing. */
export async function carryOut(step: Change, situation: Situation): Promise<Stored> {
  const { stored } = situation;
  switch (step.kind) {
    case 'restore':
      return inheriting(step.stored, step.inherited, situation);
    case 'adopt':
      return {
        ...stored,
        authorities: [...stored.authorities, ...step.authorities],
        retireAfter: later(stored.retireAfter, step.until),
      };
    case 'new-authority':
      return withAuthority(situation, step.inherited);
    case 'issue':
      return withServing(situation);
    case 'retire': {
      const kept = stored.authorities.filter(
        (one) => !step.authorities.some((retired) => isSame(one, retired)),
      );
      return {
        ...stored,
        authorities: kept,
        retireAfter: kept.length > 1 ? stored.retireAfter : null,
      };
    }
  }
}

async function withAuthority(
  { stored, lifetimes, nowMs }: Situation,
  inherited: readonly X509Certificate[],
): Promise<Stored> {
  const [previous] = stored.authorities;
  const validity = succeeding(
    previous === undefined ? null : validityOf(previous),
    lifetimes.authorityMs,
    nowMs,
  );
  const made = await newAuthority(validity);
  const certificate = new X509Certificate(made.cert);
  const key = signingKey(made.key, certificate);
  const begun = stored.authorities.length === 0 ? NOTHING : stored;
  const next: Stored = {
    ...begun,
    authorities: [certificate, ...begun.authorities],
    key: key === null ? null : { pem: made.key, key },
  };
  return inheriting(next, inherited, { lifetimes, nowMs });
}

/** Nobody knows what the inherited have signed last, but no guard signs for longer than that. */
function inheriting(
  stored: Stored,
  inherited: readonly X509Certificate[],
  { lifetimes, nowMs }: Pick<Situation, 'lifetimes' | 'nowMs'>,
): Stored {
  if (inherited.length === 0) return stored;
  return {
    ...stored,
    authorities: [...stored.authorities, ...inherited],
    retireAfter: later(stored.retireAfter, new Date(nowMs + lifetimes.servingMs)),
  };
}

async function withServing({ stored, names, lifetimes, nowMs }: Situation): Promise<Stored> {
  const { serving, key, retireAfter } = stored;
  const [signer] = stored.authorities;
  if (signer === undefined || key === null) return stored;
  const previous = serving === null ? null : validityOf(serving.leaf);
  const validity = succeeding(previous, lifetimes.servingMs, nowMs);
  const issued = await issueServing({ certificate: signer, key: key.key }, names, validity);
  const isReplaced = new Date(nowMs + HAND_OVER_MS);
  const left = later(previous?.notAfter ?? new Date(nowMs + lifetimes.servingMs), isReplaced);
  const isOfAnother = serving === null || !isSame(serving.issuer, signer);
  return {
    ...stored,
    serving: {
      certificate: checkCertificate(issued.cert, issued.key),
      leaf: new X509Certificate(issued.cert),
      issuer: signer,
    },
    retireAfter:
      isOfAnother && stored.authorities.length > 1 ? later(retireAfter, left) : retireAfter,
  };
}

function later(one: Date | null, other: Date): Date {
  return one !== null && one > other ? one : other;
}
