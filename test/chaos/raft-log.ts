import { open, type FileHandle } from 'node:fs/promises';
import { z } from 'zod';

/** A member's word about who leads. */
export interface Belief {
  /** Milliseconds since the epoch. */
  readonly t: number;
  /** Its own id and the leader's, hex. */
  readonly id: string;
  readonly leader: string | null;
  readonly term: number;
}

const lineSchema = z.looseObject({ ts: z.string(), msg: z.string() });
const WORDS =
  /^raft\.node: (?<id>[0-9a-f]+) (?:(?<verb>elected|changed|lost) leader) (?:from [0-9a-f]+ to )?(?<leader>[0-9a-f]+) at term (?<term>\d+)$/;

/** What a line of etcd's log (`--logger=zap`) says about leadership; undefined: nothing. */
export function beliefIn(line: string): Belief | undefined {
  if (!line.includes('raft.node: ')) return undefined;
  const { ts, msg } = lineSchema.parse(JSON.parse(line));
  const { id, verb, leader, term } = WORDS.exec(msg)?.groups ?? {};
  if (id === undefined || leader === undefined) return undefined;
  return {
    t: Date.parse(ts.replace(/([+-]\d\d)(\d\d)$/, '$1:$2')),
    id,
    leader: verb === 'lost' ? null : leader,
    term: Number(term),
  };
}

/** Reads a file that grows, line by line. */
export class Tail {
  readonly #path: string;
  #file: FileHandle | undefined;
  #position = 0;
  #rest = '';

  constructor(path: string) {
    this.#path = path;
  }

  /** The lines that were completed since the last call. */
  async lines(): Promise<readonly string[]> {
    try {
      this.#file ??= await open(this.#path);
    } catch {
      return [];
    }
    const { bytesRead, buffer } = await this.#file.read({
      buffer: Buffer.alloc(1 << 18),
      position: this.#position,
    });
    this.#position += bytesRead;
    const [...lines] = `${this.#rest}${buffer.toString('utf8', 0, bytesRead)}`.split('\n');
    this.#rest = lines.pop() ?? '';
    return lines;
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}
