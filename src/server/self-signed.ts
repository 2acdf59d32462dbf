import { hostname } from 'node:os';
import { checkCertificate, type ServingCertificate } from './certificate.ts';

const DAY_MS = 86_400_000;
const VALID_DAYS = 365;
/** For callers whose clock is behind ours. */
const SKEW_MS = 300_000;

/**
 * Makes a certificate for this process only: ECDSA P-256, for the local names and `host`, valid a
 * year. It is its own authority, so its `cert` is what callers have to trust.
 */
export async function selfSignedCertificate(
  host: string = hostname(),
  now: Date = new Date(),
): Promise<ServingCertificate> {
  // Loaded only here: it costs a tenth of a second that a start with files does not need.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=etcd-guard',
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(now.getTime() - SKEW_MS),
    notAfter: new Date(now.getTime() + VALID_DAYS * DAY_MS),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign,
        true,
      ),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([
        ...[...new Set(['localhost', 'etcd-guard', host])].map(
          (value) => ({ type: 'dns', value }) as const,
        ),
        { type: 'ip', value: '127.0.0.1' },
        { type: 'ip', value: '::1' },
      ]),
    ],
  });
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  const key = x509.PemConverter.encode(pkcs8, 'PRIVATE KEY');
  return checkCertificate(`${certificate.toString('pem')}\n`, `${key}\n`);
}
