import { chmod, cp } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { defineConfig } from 'rolldown';

const require = createRequire(import.meta.url);

/** etcd3 reads its .proto files from ../proto of its own file at run time; `bin` has to be executable. */
const besideTheBundle = {
  name: 'beside-the-bundle',
  async writeBundle({ dir = 'dist' }: { readonly dir?: string | undefined }) {
    const from = join(dirname(require.resolve('etcd3/package.json')), 'proto');
    await cp(from, join(dir, 'proto'), { recursive: true });
    await chmod(join(dir, 'main.js'), 0o755);
  },
};

/**
 * To import node:http reads each of its exports, of which WebSocket and its like load undici, some 4 MiB of
 * every process. This way each is read only where it is used.
 */
const httpWithoutUndici = {
  name: 'http-without-undici',
  resolveId: (source: string) => (/^(?:node:)?http$/.test(source) ? '\0http' : null),
  load: (id: string) =>
    id === '\0http' ? "module.exports = process.getBuiltinModule('node:http');" : null,
};

/** One file a command and what they share, one folder down: from there etcd3 finds ../proto. */
export default defineConfig({
  input: { main: 'src/main.ts' },
  platform: 'node',
  // What CommonJS packages know themselves by; this bundler leaves it undefined in ES modules.
  transform: { define: { __dirname: 'import.meta.dirname', __filename: 'import.meta.filename' } },
  plugins: [httpWithoutUndici, besideTheBundle],
  output: {
    dir: 'dist',
    format: 'esm',
    cleanDir: true,
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name].js',
    // Compiling what is loaded is the largest part of a start (docs/performance.md).
    minify: true,
  },
});
