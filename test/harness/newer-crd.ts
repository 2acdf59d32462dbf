import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const CRD = fileURLToPath(new URL('../../deploy/webhook/10-crd.yaml', import.meta.url));

/** The CRD as a version to come may have it: it lets more fields and more values through wherever it can. */
export async function newerCrd(): Promise<unknown> {
  return parse(await readFile(CRD, 'utf8'), (key, value: unknown) => {
    if (typeof value !== 'object' || value === null || !('type' in value)) return value;
    if (value.type === 'string' && 'enum' in value) {
      return Object.fromEntries(Object.entries(value).filter(([name]) => name !== 'enum'));
    }
    const isClosed = key === 'selector' || key === 'metadata';
    return value.type === 'object' && !isClosed
      ? { ...value, 'x-kubernetes-preserve-unknown-fields': true }
      : value;
  });
}
