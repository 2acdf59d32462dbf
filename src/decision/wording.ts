import type { Case } from './case.ts';
import type { ListView } from './cluster-view.ts';

/** How many pods a message names before it says "and N more". */
const NAMES_SHOWN = 5;

/** The pod that would go. */
export function pod({ situation: { target } }: Case): string {
  return target.name;
}

/** `etcd cluster default/etcd` */
export function cluster(c: Case): string {
  return `etcd cluster ${guardName(c)}`;
}

/** `default/etcd`; cluster and guard have one name. */
export function guardName({ guard, situation: { target } }: Case): string {
  return `${guard?.namespace ?? target.namespace}/${guard?.name ?? '?'}`;
}

/** The first of them, separated by commas, and how many more there are. */
export function names(all: readonly string[], most = NAMES_SHOWN): string {
  const shown = all.slice(0, most).join(', ');
  return all.length > most ? `${shown} and ${all.length - most} more` : shown;
}

/** Why nobody can tell who the members are, in half a sentence with who was silent; null: a list is agreed on. */
export function whyNoList(list: ListView, silent = ''): string | null {
  if (list === 'several') return 'its pods answer for two clusters, each with a quorum';
  return list === 'none' ? `no quorum of voters gives one member list${silent}` : null;
}

/** For the beginning of a sentence. */
export function upperFirst(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** To see that a text is in order already, as most are, is cheaper than to put it in order. */
const UNTIDY = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]| {2}/u;

/** Texts from outside (causes, reasons) must not break the line or reach a terminal as control codes. */
export function oneLine(text: string): string {
  if (!UNTIDY.test(text)) return text.trim();
  return text
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
    .replaceAll(/ {2,}/g, ' ')
    .trim();
}
