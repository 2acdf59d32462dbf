import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** Authorities of ours have a name that begins so. */
export const AUTHORITY_NAME = 'etcd-guard CA';

/** What a PEM text holds; null where a block in it is no certificate, or there is other text. */
export interface Certificates {
  readonly certificates: readonly X509Certificate[];
  readonly clean: boolean;
}

/** Reads all certificates of a PEM text, and notes whether that was all of it. */
export function certificatesIn(pem: string): Certificates {
  const certificates: X509Certificate[] = [];
  let clean = pem.replaceAll(BLOCK, '').trim() === '';
  for (const [block] of pem.matchAll(BLOCK)) {
    const certificate = attempt(() => new X509Certificate(block));
    if (certificate === null) clean = false;
    else if (!certificates.some((other) => isSame(other, certificate)))
      certificates.push(certificate);
  }
  return { certificates, clean };
}

/** PEM, in this order. */
export function pemOf(certificates: readonly X509Certificate[]): string {
  return certificates.map((one) => `${one.toString().trim()}\n`).join('');
}

/** Whether both are the same certificate, byte for byte. */
export function isSame(one: X509Certificate, other: X509Certificate): boolean {
  return one.fingerprint256 === other.fingerprint256;
}

/** Whether this authority has signed it; names alone prove nothing. */
export function hasSigned(authority: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

/** Whether a guard has made it, as far as a name can tell. */
export function isOurs(authority: X509Certificate): boolean {
  return authority.subject.startsWith(`CN=${AUTHORITY_NAME} `);
}

/** null: no key that can sign for this authority as we do, which is ECDSA on P-256. */
export function signingKey(pem: string, authority: X509Certificate): KeyObject | null {
  const key = attempt(() => createPrivateKey(pem));
  if (key === null || !authority.checkPrivateKey(key)) return null;
  return key.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? key : null;
}

/** How messages name an authority: its name and the beginning of its fingerprint. */
export function nameOf(authority: X509Certificate): string {
  return `${authority.subject.replaceAll('\n', ', ')} (${authority.fingerprint256.slice(0, 11)})`;
}

function attempt<T>(parse: () => T): T | null {
  try {
    return parse();
  } catch {
    return null;
  }
}
