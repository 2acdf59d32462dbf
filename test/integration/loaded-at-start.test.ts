import { execa } from 'execa';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, inject, it } from 'vitest';
import { z } from 'zod';

/** Counts what makes Intl read its tables, and says at the end what Node has loaded. */
const HOOK = `
  import { writeSync } from 'node:fs';
  let intl = 0;
  const counted = (object, name) => {
    object[name] = new Proxy(object[name], {
      construct: (target, args) => { intl += 1; return Reflect.construct(target, args); },
      apply: (target, self, args) => { intl += 1; return Reflect.apply(target, self, args); },
    });
  };
  for (const name of ['Collator', 'DateTimeFormat', 'NumberFormat', 'Segmenter']) counted(Intl, name);
  counted(String.prototype, 'localeCompare');
  process.on('exit', () => {
    const modules = process.moduleLoadList;
    writeSync(2, '\\n' + JSON.stringify({ intl, modules }));
  });
`;

const loadedSchema = z.object({ intl: z.int(), modules: z.array(z.string()) });

/** What the image gives to Node itself; a Node that does not know one of them ends at once. */
async function argumentsOfTheImage(): Promise<readonly string[]> {
  const dockerfile = await readFile(join(import.meta.dirname, '../../Dockerfile'), 'utf8');
  const [, words = '[]'] = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile) ?? [];
  const [, ...rest] = z.array(z.string()).min(2).parse(JSON.parse(words));
  return rest.filter((word) => word.startsWith('--'));
}

it('serve, started as in the image, loads neither undici nor the tables of Intl', async () => {
  const hook = `data:text/javascript,${encodeURIComponent(HOOK)}`;
  const files = [
    '--guards=/nowhere/guards.yaml',
    '--tls-cert=/nowhere/crt',
    '--tls-key=/nowhere/key',
  ];
  const own = [...(await argumentsOfTheImage()), '--import', hook];
  const args = [...own, inject('program'), 'serve', ...files];
  const { stderr } = await execa(process.execPath, args, { reject: false, timeout: 30_000 });
  // It ends because of its files once all is loaded that it starts with.
  expect(stderr).toContain("/nowhere/guards.yaml: can't be read");
  const loaded = loadedSchema.parse(JSON.parse(stderr.split('\n').at(-1) ?? ''));
  expect(loaded.modules).toContain('NativeModule https');
  expect(loaded.modules.filter((name) => name.includes('undici'))).toEqual([]);
  expect(loaded.intl).toBe(0);
});
