import { execa } from 'execa';
import { readFile } from 'node:fs/promises';
import { SourceMap } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const ROOT = join(import.meta.dirname, '../..');

const mapSchema = z.object({
  file: z.string().default(''),
  version: z.int(),
  sources: z.array(z.string()),
  sourcesContent: z.array(z.string()).default([]),
  names: z.array(z.string()),
  mappings: z.string(),
  sourceRoot: z.string().default(''),
});

/** Builds the program with its names and a map to its sources, and returns its entry. */
export async function readableBundle(directory: string): Promise<string> {
  const args = ['--config', 'rolldown.config.ts', '--dir', directory, '--no-minify', '--sourcemap'];
  await execa('rolldown', args, { cwd: ROOT, preferLocal: true });
  return join(directory, 'main.js');
}

/** Where a function was written. */
export interface Origin {
  readonly source: string;
  /** From 1. */
  readonly line: number;
}

/** Finds the sources of positions (from 0) in such a bundle; of other files, the file itself. */
export class Sources {
  readonly #maps = new Map<string, SourceMap | null>();

  async at(url: string, line: number, column: number): Promise<Origin> {
    const known = this.#maps.get(url);
    const map = known === undefined ? await mapOf(url) : known;
    this.#maps.set(url, map);
    const entry = map?.findEntry(line, column);
    if (entry === undefined || !('originalSource' in entry)) return { source: url, line: line + 1 };
    return { source: entry.originalSource, line: entry.originalLine + 1 };
  }
}

async function mapOf(url: string): Promise<SourceMap | null> {
  const text = await readFile(`${fileURLToPath(url)}.map`, 'utf8').catch(() => null);
  return text === null ? null : new SourceMap(mapSchema.parse(JSON.parse(text)));
}
