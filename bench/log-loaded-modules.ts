import { appendFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

/** Preloaded: writes the URL of each module that the process loads to the file of that variable. */
const file = process.env['LOADED_MODULES_FILE'];
if (file !== undefined) {
  registerHooks({
    load(url, context, nextLoad) {
      appendFileSync(file, `${url}\n`);
      return nextLoad(url, context);
    },
  });
}
