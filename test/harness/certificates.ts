// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 needs it loaded first
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const HOUR_MS = 3_600_000;

type X509Certificate = Awaited<ReturnType<typeof X509CertificateGenerator.create>>;
type KeyPair = webcrypto.CryptoKeyPair;

export interface CertificateRequest {
  readonly commonName: string;
  /** Groups, to Kubernetes. */
  readonly organizations?: readonly string[];
  /** DNS names and IP addresses, mixed. */
  readonly names?: readonly string[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

/** PEM texts. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** A certificate authority for one test; what it issues serves for servers and clients. */
export class CertificateAuthority {
  /** PEM */
  readonly cert: string;
  readonly #certificate: X509Certificate;
  readonly #keys: KeyPair;

  private constructor(certificate: X509Certificate, keys: KeyPair) {
    this.#certificate = certificate;
    this.#keys = keys;
    this.cert = certificate.toString('pem');
  }

  static async create(commonName = 'test authority'): Promise<CertificateAuthority> {
    const keys = await generateKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber: serialNumber(),
      name: [{ CN: [commonName] }],
      ...validity({}),
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.digitalSignature, true),
      ],
    });
    return new CertificateAuthority(certificate, keys);
  }

  async issue(request: CertificateRequest): Promise<Certificate> {
    const keys = await generateKeys();
    const { organizations = [], names = [] } = request;
    const certificate = await X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: [
        { CN: [request.commonName] },
        ...organizations.map((organization) => ({ O: [organization] })),
      ],
      issuer: this.#certificate.subject,
      ...validity(request),
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        ...(names.length === 0
          ? []
          : [
              new SubjectAlternativeNameExtension(
                names.map((name) =>
                  isIP(name) ? { type: 'ip', value: name } : { type: 'dns', value: name },
                ),
              ),
            ]),
      ],
    });
    const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
    return { cert: certificate.toString('pem'), key: PemConverter.encode(pkcs8, 'PRIVATE KEY') };
  }

  /** Issues into DIRECTORY/NAME.crt and NAME.key. */
  async issueFiles(
    directory: string,
    name: string,
    request: CertificateRequest,
  ): Promise<CertificateFiles> {
    return writeCertificate(directory, name, await this.issue(request));
  }

  /** Writes its own certificate, and returns the file's path. */
  async writeTo(directory: string, name = 'ca.crt'): Promise<string> {
    const path = join(directory, name);
    await writeFile(path, `${this.cert}\n`);
    return path;
  }

  /** PEM of its private key: kube-controller-manager signs with it. */
  async exportKey(): Promise<string> {
    const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', this.#keys.privateKey);
    return PemConverter.encode(pkcs8, 'PRIVATE KEY');
  }
}

export async function writeCertificate(
  directory: string,
  name: string,
  { cert, key }: Certificate,
): Promise<CertificateFiles> {
  const files = {
    certFile: join(directory, `${name}.crt`),
    keyFile: join(directory, `${name}.key`),
  };
  await writeFile(files.certFile, `${cert}\n`);
  await writeFile(files.keyFile, `${key}\n`, { mode: 0o600 });
  return files;
}

async function generateKeys(): Promise<KeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

function serialNumber(): string {
  return Buffer.from(webcrypto.getRandomValues(new Uint8Array(8)))
    .toString('hex')
    .replace(/^./, '1');
}

function validity({ notBefore, notAfter }: Pick<CertificateRequest, 'notBefore' | 'notAfter'>): {
  notBefore: Date;
  notAfter: Date;
} {
  const now = Date.now();
  return {
    notBefore: notBefore ?? new Date(now - HOUR_MS),
    notAfter: notAfter ?? new Date(now + 24 * HOUR_MS),
  };
}
