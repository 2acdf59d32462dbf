import { randomBytes, type KeyObject, type webcrypto, type X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type * as X509 from '@peculiar/x509';
import { AUTHORITY_NAME } from './pem.ts';
import type { Validity } from './validity.ts';

/** A certificate and its key, in PEM. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** An authority of its own name, so that an old and a new one are told apart. */
export async function newAuthority({ notBefore, notAfter }: Validity): Promise<Issued> {
  const x509 = await library();
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=${AUTHORITY_NAME} ${randomBytes(4).toString('hex')}`,
    keys,
    signingAlgorithm: ALGORITHM,
    notBefore,
    notAfter,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return pem(x509, certificate, keys.privateKey);
}

/** A serving certificate for these DNS names and IP addresses. */
export async function issueServing(
  authority: { readonly certificate: X509Certificate; readonly key: KeyObject },
  names: readonly string[],
  { notBefore, notAfter }: Validity,
): Promise<Issued> {
  const x509 = await library();
  const issuer = new x509.X509Certificate(Uint8Array.from(authority.certificate.raw));
  const pkcs8 = authority.key.export({ type: 'pkcs8', format: 'der' });
  const signingKey = await crypto.subtle.importKey(
    'pkcs8',
    Uint8Array.from(pkcs8),
    ALGORITHM,
    false,
    ['sign'],
  );
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: 'CN=etcd-guard',
    issuer: issuer.subjectName.toJSON(),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    notBefore,
    notAfter,
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }) as const),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return pem(x509, certificate, keys.privateKey);
}

type Library = typeof X509;

/** Loaded only here: it costs a tenth of a second that most starts do not need. */
async function library(): Promise<Library> {
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

/** Positive, and never the same twice: what an authority signs is told apart by it. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

async function pem(
  x509: Library,
  certificate: InstanceType<Library['X509Certificate']>,
  privateKey: webcrypto.CryptoKey,
): Promise<Issued> {
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', privateKey);
  return {
    cert: `${certificate.toString('pem')}\n`,
    key: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
  };
}
