import { X509Certificate, type KeyObject } from 'node:crypto';
import type { KubernetesObject } from '../kubernetes/api/api.ts';
import { checkCertificate, type ServingCertificate } from '../server/certificate.ts';
import { certificatesIn, hasSigned, pemOf, signingKey } from './pem.ts';

/** The serving certificate of the Secret, and which of its authorities has signed it. */
export interface Serving {
  readonly certificate: ServingCertificate;
  readonly leaf: X509Certificate;
  readonly issuer: X509Certificate;
}

/** What replicas share. All that a renewal needs to go on after a crash is in it. */
export interface Stored {
  /** All that callers have to trust; the first signs, if its key is there. */
  readonly authorities: readonly X509Certificate[];
  /** PEM and parsed; null: a new authority is needed. */
  readonly key: { readonly pem: string; readonly key: KeyObject } | null;
  readonly serving: Serving | null;
  /** When the last certificate that an authority behind the first has signed is known to expire. */
  readonly retireAfter: Date | null;
}

/** Nothing that could be used. */
export const NOTHING: Stored = { authorities: [], key: null, serving: null, retireAfter: null };

/** `foreign`: somebody else's, never to be written. `faults`: what of it can't be used, and why. */
export type Decoded =
  | { readonly kind: 'foreign' }
  | { readonly kind: 'ours'; readonly stored: Stored; readonly faults: readonly string[] };

const LABEL = 'app.kubernetes.io/managed-by';
const OURS = 'etcd-guard';
/** The mark of Secrets that may be written, as `kubectl label` takes it. */
export const MARK = `${LABEL}=${OURS}`;
const RETIRE_AFTER = 'etcd-guard.io/retire-after';

/** Reads a Secret; what is broken in it is left out and named. What is missing is no fault: it is made. */
export function decodeSecret(secret: KubernetesObject): Decoded {
  if (secret.metadata.labels?.[LABEL] !== OURS) return { kind: 'foreign' };
  const faults: string[] = [];
  const authorities = authoritiesIn(textOf(secret, 'ca.crt'), faults);
  const key = keyOf(textOf(secret, 'ca.key'), authorities, faults);
  const serving = servingOf(secret, authorities, faults);
  const retireAfter = dateIn(secret.metadata.annotations?.[RETIRE_AFTER]);
  return { kind: 'ours', stored: { authorities, key, serving, retireAfter }, faults };
}

/** The parts of a Secret that say this; what else it holds stays. */
export function secretContent(
  { authorities, serving, key, retireAfter }: Stored,
  secret: KubernetesObject | null,
): {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, unknown>>;
} {
  const { 'tls.crt': _crt, 'tls.key': _key, 'ca.key': _ca, ...others } = dataOf(secret ?? {});
  const { [RETIRE_AFTER]: _retire, ...annotations } = secret?.metadata.annotations ?? {};
  return {
    labels: { ...secret?.metadata.labels, [LABEL]: OURS },
    annotations: {
      ...annotations,
      ...(retireAfter !== null && { [RETIRE_AFTER]: retireAfter.toISOString() }),
    },
    data: {
      ...others,
      'ca.crt': base64(pemOf(authorities)),
      ...(key !== null && { 'ca.key': base64(key.pem) }),
      ...(serving !== null && {
        'tls.crt': base64(serving.certificate.cert),
        'tls.key': base64(serving.certificate.key),
      }),
    },
  };
}

function authoritiesIn(pem: string, faults: string[]): readonly X509Certificate[] {
  const { certificates, clean } = certificatesIn(pem);
  if (!clean) faults.push('ca.crt is not only PEM certificates');
  const authorities = certificates.filter(({ ca }) => ca);
  if (authorities.length < certificates.length) {
    faults.push('ca.crt holds a certificate that is not one of an authority');
  }
  return authorities;
}

function keyOf(pem: string, [first]: readonly X509Certificate[], faults: string[]): Stored['key'] {
  if (pem === '' || first === undefined) return null;
  const key = signingKey(pem, first);
  if (key === null) faults.push('ca.key is not the ECDSA P-256 key of the first in ca.crt');
  return key === null ? null : { pem, key };
}

function servingOf(
  secret: KubernetesObject,
  authorities: readonly X509Certificate[],
  faults: string[],
): Serving | null {
  const [cert, key] = [textOf(secret, 'tls.crt'), textOf(secret, 'tls.key')];
  if (cert === '' && key === '') return null;
  try {
    const certificate = checkCertificate(cert, key, { certFile: 'tls.crt', keyFile: 'tls.key' });
    const leaf = new X509Certificate(cert);
    const issuer = authorities.find((authority) => hasSigned(authority, leaf));
    if (issuer !== undefined) return { certificate, leaf, issuer };
    faults.push('no authority of ca.crt has signed tls.crt');
  } catch (error) {
    faults.push(error instanceof Error ? error.message : 'tls.crt or tls.key is unusable');
  }
  return null;
}

function dataOf(secret: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { data } = secret;
  return typeof data === 'object' && data !== null ? { ...data } : {};
}

/** Empty: there is none. */
function textOf(secret: KubernetesObject, key: string): string {
  const value = dataOf(secret)[key];
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString() : '';
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function dateIn(text: string | undefined): Date | null {
  const date = new Date(text ?? '');
  return Number.isNaN(date.getTime()) ? null : date;
}
