import { stringify } from 'yaml';
import type { StatusConfig } from '../../config.ts';
import type { AllShown } from './shown.ts';

/** For programs; the names are those that kubectl prints and takes. */
export function asDocuments(
  { guards, locks }: AllShown,
  output: Exclude<StatusConfig['output'], 'table'>,
): string {
  const document = {
    items: guards.map(({ item }) => item),
    ...(locks.length > 0 && { locks: locks.map(({ item }) => item) }),
  };
  switch (output) {
    case 'json':
      return `${JSON.stringify(document, null, 2)}\n`;
    case 'yaml':
      return stringify(document, { aliasDuplicateObjects: false });
    case 'name':
      return [
        ...guards.map(({ title }) => `etcdguard.etcd-guard.io/${nameIn(title)}\n`),
        ...locks.map(({ title }) => `exclusivelock.etcd-guard.io/${nameIn(title)}\n`),
      ].join('');
  }
}

function nameIn(title: string): string {
  return title.slice(title.indexOf('/') + 1);
}
