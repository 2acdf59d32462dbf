import { createHash, timingSafeEqual } from 'node:crypto';
import { ServerError } from './error.ts';
import { followFiles, readFiles, type FileWatch } from './follow-files.ts';

/** What is told about new versions of the file; a broken one is reported once. */
export interface TokenEvents {
  readonly onReloaded: (token: BearerToken) => void;
  readonly onReloadFailed: (error: ServerError) => void;
}

/** RFC 6750 has no more characters than these; the last may be padding. */
const TOKEN = /^[A-Za-z0-9\-._~+/]{8,4096}=*$/;

/** A token that a file holds; nothing here ever tells it, and comparing it takes as long whatever it is. */
export class BearerToken {
  readonly #file: string;
  #contents: readonly string[];
  #hash: Buffer;

  private constructor(file: string, contents: readonly string[]) {
    this.#file = file;
    this.#contents = contents;
    this.#hash = tokenHash(contents, file);
  }

  /** Throws a ServerError that names the file. */
  static async load(file: string): Promise<BearerToken> {
    return new BearerToken(file, await readFiles([file]));
  }

  /** Whether this Authorization header has it; takes as long whatever it holds. */
  admits(authorization: string | undefined): boolean {
    const given = /^Bearer +(?<token>\S+) *$/i.exec(authorization ?? '')?.groups?.['token'] ?? '';
    return timingSafeEqual(hashOf(given), this.#hash);
  }

  /** Takes over what the file comes to hold. */
  follow({ onReloaded, onReloadFailed }: TokenEvents, pollMs?: number): FileWatch {
    const followed = {
      files: [this.#file],
      check: (contents: readonly string[]) => tokenHash(contents, this.#file),
      onChanged: (hash: Buffer) => {
        this.#hash = hash;
        onReloaded(this);
      },
      onBroken: onReloadFailed,
    };
    const watch = followFiles(followed, this.#contents, pollMs);
    this.#contents = [];
    return watch;
  }
}

function tokenHash([content = '']: readonly string[], file: string): Buffer {
  const token = content.trim();
  if (!TOKEN.test(token)) {
    throw new ServerError(
      'token-invalid',
      `${file} holds no bearer token: one line of at least 8 letters, digits and -._~+/ is wanted`,
    );
  }
  return hashOf(token);
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
