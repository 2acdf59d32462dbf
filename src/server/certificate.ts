import { X509Certificate, constants, createPrivateKey } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { ServerError, reasonOf } from './error.ts';
import { followFiles, readFiles, type FileWatch } from './follow-files.ts';

/** A certificate and its key in PEM, checked to belong together. */
export interface ServingCertificate {
  readonly cert: string;
  readonly key: string;
  /** SHA-256 of the leaf, to recognise it on the wire. */
  readonly fingerprint: string;
  readonly notAfter: Date;
}

/** Where `--tls-cert` and `--tls-key` point. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** What is told about new versions of the files; a broken one is reported once. */
export interface ReloadEvents {
  readonly onReloaded: (certificate: ServingCertificate) => void;
  readonly onReloadFailed: (error: ServerError) => void;
}

/** Reads and checks both files; throws a ServerError that names the file at fault. */
export async function loadCertificate(files: CertificateFiles): Promise<ServingCertificate> {
  return checkPair(await readFiles([files.certFile, files.keyFile]), files);
}

/** Checks that both parse, belong together and are accepted by TLS; throws a ServerError. */
export function checkCertificate(
  cert: string,
  key: string,
  files: CertificateFiles = { certFile: 'the certificate', keyFile: 'the key' },
): ServingCertificate {
  const leaf = attempt(
    `${files.certFile} is not a PEM certificate`,
    () => new X509Certificate(cert),
  );
  const privateKey = attempt(`${files.keyFile} is not an unencrypted PEM private key`, () =>
    createPrivateKey(key),
  );
  if (!leaf.checkPrivateKey(privateKey)) {
    throw new ServerError(
      'certificate-invalid',
      `the key in ${files.keyFile} does not belong to the certificate in ${files.certFile}`,
    );
  }
  attempt(`${files.certFile} and ${files.keyFile} can't be served`, () =>
    createSecureContext({ cert, key }),
  );
  return { cert, key, fingerprint: leaf.fingerprint256, notAfter: leaf.validToDate };
}

/** Follows both files, as `followFiles` does. */
export function watchCertificate(
  files: CertificateFiles,
  { cert, key }: ServingCertificate,
  { onReloaded, onReloadFailed }: ReloadEvents,
  pollMs?: number,
): FileWatch {
  return followFiles(
    {
      files: [files.certFile, files.keyFile],
      check: (contents) => checkPair(contents, files),
      onChanged: onReloaded,
      onBroken: onReloadFailed,
    },
    [cert, key],
    pollMs,
  );
}

/** What a server serves it with, to create one as for its setSecureContext; null: none to serve yet. */
export function secureContextOf(certificate: ServingCertificate | null): SecureContextOptions {
  return {
    ...(certificate && { cert: certificate.cert, key: certificate.key }),
    minVersion: 'TLSv1.2',
    // Costs us ten times what it costs whoever asks for it, and no client of ours does.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
}

function checkPair(
  [cert = '', key = '']: readonly string[],
  files: CertificateFiles,
): ServingCertificate {
  return checkCertificate(cert, key, files);
}

function attempt<T>(failure: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new ServerError('certificate-invalid', `${failure}: ${reasonOf(error)}`, error);
  }
}
