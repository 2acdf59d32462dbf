import { X509Certificate } from 'node:crypto';
import { createSecureContext, TLSSocket } from 'node:tls';
import { ServerError, reasonOf } from './error.ts';
import { followFiles, readFiles, type FileWatch } from './follow-files.ts';
import type { Refusal } from './refusal.ts';

/** Whose certificates callers have to present; in PEM, one or more authorities. */
export interface ClientAuthority {
  readonly ca: string;
}

/** What is told about new versions of the file; a broken one is reported once. */
export interface AuthorityEvents {
  readonly onReloaded: (authority: ClientAuthority) => void;
  readonly onReloadFailed: (error: ServerError) => void;
}

/** Reads and checks the file; throws a ServerError that names it. */
export async function loadClientAuthority(file: string): Promise<ClientAuthority> {
  return checkAuthority(await readFiles([file]), file);
}

/** Follows the file, as `followFiles` does. */
export function watchClientAuthority(
  file: string,
  { ca }: ClientAuthority,
  { onReloaded, onReloadFailed }: AuthorityEvents,
  pollMs?: number,
): FileWatch {
  return followFiles(
    {
      files: [file],
      check: (contents) => checkAuthority(contents, file),
      onChanged: onReloaded,
      onBroken: onReloadFailed,
    },
    [ca],
    pollMs,
  );
}

/** OpenSSL passes over what it can't read in such a file, and would then trust nobody. */
function checkAuthority([ca = '']: readonly string[], file: string): ClientAuthority {
  try {
    const blocks = ca.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs);
    if (blocks === null) throw new Error('it holds no certificate');
    for (const block of blocks) void new X509Certificate(block);
    createSecureContext({ ca });
    return { ca };
  } catch (error) {
    const message = `${file} can't be used as an authority for clients: ${reasonOf(error)}`;
    throw new ServerError('certificate-invalid', message, error);
  }
}

const NO_CERTIFICATE: Refusal = {
  kind: 'Unauthenticated',
  status: 401,
  error: 'no client certificate was presented, and this server wants one (--client-ca)',
};

/** What the handshake of a connection has shown; no later one changes it, as none is negotiated anew. */
interface Shown {
  readonly refusal: Refusal | null;
  /** Whoever is let in is so until then. */
  readonly untilMs: number;
}

/** Who may ask: what a connection's certificate says is read once, its expiry looked at each time. */
export class ClientGate {
  readonly #names: readonly string[];
  readonly #nowMs: () => number;
  readonly #shown = new WeakMap<TLSSocket, Shown>();

  /** Without names each certificate of the authority is let in; the clock is that of certificates. */
  constructor(names: readonly string[], nowMs: () => number = () => Date.now()) {
    this.#names = names;
    this.#nowMs = nowMs;
  }

  /**
   * Why the peer of a connection may not ask, or null if it may. Handshakes succeed without a
   * certificate, so that whoever lacks one is told so in words, and a probe still sees that TLS works.
   */
  strangerAt(socket: unknown): Refusal | null {
    if (!(socket instanceof TLSSocket)) return NO_CERTIFICATE;
    const { refusal, untilMs } = this.#shown.get(socket) ?? this.#read(socket);
    // A connection, or a session that is resumed, can outlive the certificate that opened it.
    return refusal ?? (this.#nowMs() >= untilMs ? notAccepted('CERT_HAS_EXPIRED') : null);
  }

  #read(socket: TLSSocket): Shown {
    const certificate = socket.getPeerX509Certificate();
    const shown =
      certificate === undefined
        ? { refusal: NO_CERTIFICATE, untilMs: 0 }
        : {
            refusal: this.#refusalOf(certificate, socket),
            untilMs: certificate.validToDate.getTime(),
          };
    this.#shown.set(socket, shown);
    return shown;
  }

  #refusalOf(certificate: X509Certificate, socket: TLSSocket): Refusal | null {
    if (!socket.authorized) return notAccepted(String(socket.authorizationError));
    const names = this.#names;
    if (names.length === 0 || namesOf(certificate).some((name) => names.includes(name))) {
      return null;
    }
    return {
      kind: 'Forbidden',
      status: 403,
      error: 'the client certificate has none of the names that are let in (--client-name)',
    };
  }
}

function notAccepted(why: string): Refusal {
  const error = `the client certificate is not accepted (${why}); --client-ca names who issues them`;
  return { kind: 'Unauthenticated', status: 401, error };
}

/** The common name and the DNS names, each whole. */
function namesOf({ subject, subjectAltName = '' }: X509Certificate): readonly string[] {
  // A line for each attribute; line breaks in a value are escaped.
  const common = subject.split('\n').filter((line) => line.startsWith('CN='));
  // A value that holds a comma is quoted: what stands inside is no name of its own.
  const other = [
    ...subjectAltName.matchAll(/(?<=^|, )(?<type>[\w ]+):(?:"(?:[^"\\]|\\.)*"|(?<name>[^",]*))/g),
  ];
  return [
    ...common.map((line) => line.slice('CN='.length)),
    ...other.flatMap(({ groups }) => (groups?.['type'] === 'DNS' ? [groups['name'] ?? ''] : [])),
  ];
}
