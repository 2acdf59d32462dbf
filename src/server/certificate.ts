import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { ServerError, reasonOf } from './error.ts';

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

/** Handle of a running watch. */
export interface CertificateWatch {
  stop(): void;
}

const POLL_MS = 1_000;

/** Reads and checks both files; throws a ServerError that names the file at fault. */
export async function loadCertificate(files: CertificateFiles): Promise<ServingCertificate> {
  const { cert, key } = await readPair(files);
  return checkCertificate(cert, key, files);
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

/**
 * Follows the files by reading them every second: watching the directory misses the symbolic links
 * that Kubernetes swaps when a Secret changes, and 4 KiB a second cost nothing.
 */
export function watchCertificate(
  files: CertificateFiles,
  current: ServingCertificate,
  events: ReloadEvents,
  pollMs: number = POLL_MS,
): CertificateWatch {
  const reload = reloader(files, current, events);
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  function schedule(): void {
    if (stopped) return;
    timer = setTimeout(() => void reload().then(schedule), pollMs);
    timer.unref();
  }
  schedule();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

function reloader(
  files: CertificateFiles,
  current: ServingCertificate,
  events: ReloadEvents,
): () => Promise<void> {
  let serving = current;
  let suspect = '';
  let reported = '';

  /** A pair half replaced is broken for a moment: only what is still broken at the next look counts. */
  function broken(seen: string, error: unknown): void {
    if (seen === suspect && seen !== reported) {
      reported = seen;
      events.onReloadFailed(asServerError(error));
    }
    suspect = seen;
  }

  return async () => {
    let seen = 'unreadable';
    try {
      const { cert, key } = await readPair(files);
      seen = `${cert}\n${key}`;
      if (cert !== serving.cert || key !== serving.key) {
        serving = checkCertificate(cert, key, files);
        events.onReloaded(serving);
      }
      suspect = '';
      reported = '';
    } catch (error) {
      broken(seen, error);
    }
  };
}

async function readPair(files: CertificateFiles): Promise<{ cert: string; key: string }> {
  const [cert, key] = await Promise.all([read(files.certFile), read(files.keyFile)]);
  return { cert, key };
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new ServerError(
      'certificate-unreadable',
      `${file} can't be read: ${reasonOf(error)}`,
      error,
    );
  }
}

function attempt<T>(failure: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new ServerError('certificate-invalid', `${failure}: ${reasonOf(error)}`, error);
  }
}

function asServerError(error: unknown): ServerError {
  return error instanceof ServerError
    ? error
    : new ServerError('certificate-invalid', reasonOf(error), error);
}
