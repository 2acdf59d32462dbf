import { createHash } from 'node:crypto';

const PREFIX = 'etcd-guard-';
/** Of a DNS label, which a volume's name has to be. */
const LONGEST = 63;
const DIGITS = 8;

/** The volume that shows a ConfigMap: a DNS label, and another one for each name of a ConfigMap. */
export function volumeName(configMap: string): string {
  const plain = `${PREFIX}${configMap}`;
  if (plain.length <= LONGEST && !configMap.includes('.')) return plain;
  const digest = createHash('sha256').update(configMap).digest('hex').slice(0, DIGITS);
  const head = plain.replaceAll('.', '-').slice(0, LONGEST - DIGITS - 1);
  return `${head}-${digest}`;
}
