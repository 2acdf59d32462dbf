/**
 * One line of text describes a cluster and a request for one of its pods:
 *
 *   delete voters=(a*,b,c) silent=(c:"no route to host") target=b
 *
 * Words are flags or `key=value`; a value is a word, a "quoted text" or a (list) of either, whose
 * items may carry a value of their own after a colon. Members and pods are single lower-case letters;
 * pod `a` runs member `a`, which lists itself under that name and host, unless something else is said.
 */
export interface Item {
  readonly name: string;
  readonly value: string | null;
}

/** A parsed description: flags have no items. */
export interface Description {
  readonly verb: 'delete' | 'evict';
  readonly words: ReadonlyMap<string, readonly Item[]>;
}

/** All words that a description may use, with what they mean. */
export const VOCABULARY: Readonly<Record<string, string>> = {
  target: 'the pod that would go',
  voters: 'voting members; a star marks the one that all name leader',
  learners: 'members without a vote',
  pods: 'pods of the guard, where they are not one for each member',
  silent: 'pods that do not answer, with a cause',
  refusing: 'pods that refuse Status, with a cause',
  names: 'pods that name another leader, or none; * for all',
  lists: 'pods that give another list: a+b+~c with ~ for a learner, or none',
  cluster: 'pods that answer with another cluster id',
  ids: 'pods that answer with the id of another member',
  address: 'pods asked at the address of another member, or none',
  hosts: 'pods with other hosts: a+b, or none',
  urls: 'members that list the host and client URL of another',
  named: 'members with another name, "" for none',
  terminating: 'other pods with a deletionTimestamp',
  cordoned: 'pods on cordoned nodes',
  reserved: 'other pods with a live reservation, with its age',
  candidate: 'a reservation that hands leadership over: pod:member',
  own: "the target's own reservation, by age",
  ownReason: 'the reason of that reservation',
  ownCandidate: 'the member that it hands leadership to',
  lag: 'entries that members are behind',
  corrupt: 'members with a CORRUPT alarm',
  corruptBy: 'the only pods that tell of it',
  noSpace: 'members with a NOSPACE alarm',
  leader: 'policy.leader',
  handOff: 'policy.handOff',
  quorum: 'policy.quorum',
  unknown: 'policy.unknown',
  maxLag: 'policy.maxRaftLag',
  user: 'who asks',
  groups: 'the groups of who asks',
  dryRun: 'the request is a dry run',
  precondition: 'uid precondition of the request: own or other',
  noUid: "the pod's uid is not known",
  breakGlass: 'the break-glass annotation',
  until: 'the break-glass-until annotation; it is noon of 2026-01-15 UTC',
  going: 'the target has a deletionTimestamp',
  mirror: 'the target is a mirror pod',
  unscheduled: 'the target has no node',
  finished: 'the target is Succeeded or Failed',
  containersDown: "the target's node is Ready and its containers are not running",
  emptyDir: "the target's data is on an emptyDir",
  looksLikeEtcd: 'the target is labelled as etcd',
  guards: 'how many guards select the target',
  fromFile: 'the guard comes from a file, and its addresses name its pods',
  proofs:
    'pods whose proof fails: unserved, noStatus, leaderless, renamed, otherCluster, late, or a member that they name',
  outOfTime: 'time runs out: now, or after the answers',
  ledger: 'the reservation can not be written, with a cause',
  move: 'the hand-off: fails (with a cause), unconfirmed, leaderless, or unclear (nobody answers after it)',
  message: 'the message is part of what is expected',
};

/** Reads one description; throws an Error that says where and what was expected. */
export function parse(text: string): Description {
  const [verb, ...words] = split(text, ' ');
  if (verb !== 'delete' && verb !== 'evict') {
    throw new Error(`'${text}' has to begin with 'delete' or 'evict'`);
  }
  const parsed = new Map<string, readonly Item[]>();
  for (const word of words) {
    const [key = ''] = word.split('=', 1);
    if (VOCABULARY[key] === undefined) {
      throw new Error(`'${key}' in '${text}' is none of: ${Object.keys(VOCABULARY).join(', ')}`);
    }
    if (parsed.has(key)) throw new Error(`'${key}' is given twice in '${text}'`);
    parsed.set(key, word === key ? [] : items(word.slice(key.length + 1)));
  }
  return { verb, words: parsed };
}

function items(value: string): readonly Item[] {
  const inner = value.startsWith('(') ? value.slice(1, -1) : value;
  if (inner === '') return [];
  return split(inner, ',').map((item) => {
    if (!value.startsWith('(')) return { name: unquoted(item), value: null };
    const [name = '', ...rest] = split(item.trim(), ':');
    return { name: unquoted(name), value: rest.length === 0 ? null : unquoted(rest.join(':')) };
  });
}

function unquoted(text: string): string {
  if (!text.startsWith('"')) return text;
  if (text.length < 2 || !text.endsWith('"')) throw new Error(`no closing quote after ${text}`);
  return text
    .slice(1, -1)
    .replaceAll(String.raw`\n`, '\n')
    .replaceAll(String.raw`\e`, '\u001B');
}

/** Splits at a separator that stands outside quotes and parentheses. */
function split(text: string, at: ' ' | ',' | ':'): readonly string[] {
  const quoted = '"[^"]*"';
  const piece = new RegExp(`(?:${quoted}|\\((?:${quoted}|[^()"])*\\)|[^${at}"()])+`, 'g');
  const left = text.replaceAll(piece, '').replaceAll(at, '');
  if (left !== '') throw new Error(`a quote or parenthesis is not closed in '${text}'`);
  return text.match(piece) ?? [];
}
