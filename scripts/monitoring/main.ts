import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { generated } from './files.ts';

const ROOT = resolve(import.meta.dirname, '../..');

for (const [path, text] of await generated(ROOT)) await writeFile(join(ROOT, path), text);
