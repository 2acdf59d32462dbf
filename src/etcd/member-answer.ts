import type { IMember, IStatusResponse } from 'etcd3';

import type { MemberId } from '../decision/member-id.ts';
import { memberIdFromDecimal } from '../decision/member-id.ts';
import type { ListedMember, ProofAnswer, StatusAnswer } from '../decision/situation.ts';
import type { Failure } from './failure.ts';

/** What a Status that names no member counts as. */
export const WITHOUT_ID: Failure = {
  kind: 'refused',
  words: 'it answers Status without a member id',
  connection: 'fine',
};

// More ids than all members of a cluster ever had.
const MAX_IDS = 1000;
// No etcd is as large, and looking through such a list would keep everybody else waiting.
const MAX_MEMBERS = 100;
const MAX_ID = 2n ** 64n - 1n;

/**
 * Reads what members say, and remembers ids and lists, which hardly ever change: a list of the
 * same content is the same object.
 */
export class AnswerReader {
  readonly #ids = new Map<string, MemberId | null>();
  #rawList: readonly IMember[] = [];
  #list: readonly ListedMember[] = [];

  /** Without a list; null from something without a member id. */
  status(status: IStatusResponse): StatusAnswer | null {
    const identity = this.identity(status);
    if (identity === null) return null;
    const raftIndex = BigInt(status.raftIndex);
    return {
      kind: 'status',
      ...identity,
      list: null,
      term: BigInt(status.raftTerm),
      raftIndex,
      appliedIndex: reportsAppliedIndex(status.version)
        ? BigInt(status.raftAppliedIndex)
        : raftIndex,
      corrupt: this.#alarmed(status.errors, 'CORRUPT'),
      noSpace: this.#alarmed(status.errors, 'NOSPACE'),
    };
  }

  /** Who a Status comes from, and whom it names; null from something without a member id. */
  identity(status: IStatusResponse): ProofAnswer['after'] {
    // Typed as always there, but whoever sends none is read all the same.
    const header: IStatusResponse['header'] | null = status.header;
    if (header === null) return null;
    const id = this.#id(header.member_id);
    const clusterId = this.#id(header.cluster_id);
    if (id === null || clusterId === null) return null;
    return { id, clusterId, leader: this.#id(status.leader) };
  }

  /** null for what no etcd gives: a member without an id, one id twice, more members than any has. */
  list(members: readonly IMember[]): readonly ListedMember[] | null {
    if (members.length > MAX_MEMBERS) return null;
    if (sameMembers(this.#rawList, members)) return this.#list;
    const list: ListedMember[] = [];
    const ids = new Set<MemberId>();
    for (const member of members) {
      const id = this.#id(member.ID);
      // Whoever is there twice would count twice where it is counted who gives this list.
      if (id === null || ids.has(id)) return null;
      ids.add(id);
      list.push(listedMember(id, member));
    }
    this.#rawList = members;
    this.#list = list;
    return list;
  }

  /** The server's text; from some versions on with two spaces between the fields. */
  #alarmed(errors: readonly string[], alarm: string): readonly MemberId[] {
    return errors.flatMap((error) => {
      const match = /memberID:(?<id>\d{1,20})\s+alarm:(?<alarm>\w+)/.exec(error)?.groups;
      const id = match?.['alarm'] === alarm ? this.#id(match['id'] ?? '0') : null;
      return id === null ? [] : [id];
    });
  }

  #id(decimal: string): MemberId | null {
    const known = this.#ids.get(decimal);
    if (known !== undefined) return known;
    if (this.#ids.size === MAX_IDS) this.#ids.clear();
    // In a text there may be more digits than an id has.
    const id = BigInt(decimal) > MAX_ID ? null : memberIdFromDecimal(decimal);
    this.#ids.set(decimal, id);
    return id;
  }
}

/**
 * Status has the applied index from 3.4 on. There a 0 is true of a member that has only just
 * joined, which lags; before 3.4 it means nothing, and the committed index has to do.
 */
function reportsAppliedIndex(version: string): boolean {
  return !/^3\.[0-3]\./.test(version);
}

function listedMember(id: MemberId, member: IMember): ListedMember {
  const clientUrls = parsedUrls(member.clientURLs);
  const urls = [...parsedUrls(member.peerURLs), ...clientUrls];
  return {
    id,
    name: member.name,
    learner: member.isLearner,
    clientAddresses: [...new Set(clientUrls.map((url) => `${url.hostname}:${portOf(url)}`))],
    hosts: [...new Set(urls.map((url) => url.hostname.replace(/^\[(.*)\]$/, '$1')))],
  };
}

/** Anything but http and https (unix sockets) names no host; what does not parse is left out. */
function parsedUrls(urls: readonly string[]): readonly URL[] {
  return urls.flatMap((text) => {
    const url = URL.parse(text);
    return url?.protocol === 'http:' || url?.protocol === 'https:' ? [url] : [];
  });
}

/** URL hides the port that is its scheme's default. */
function portOf(url: URL): string {
  if (url.port !== '') return url.port;
  return url.protocol === 'https:' ? '443' : '80';
}

function sameMembers(before: readonly IMember[], now: readonly IMember[]): boolean {
  return before.length === now.length && before.every((member, i) => sameMember(member, now[i]));
}

function sameMember(before: IMember, now: IMember | undefined): boolean {
  return (
    before.ID === now?.ID &&
    before.name === now.name &&
    before.isLearner === now.isLearner &&
    sameTexts(before.peerURLs, now.peerURLs) &&
    sameTexts(before.clientURLs, now.clientURLs)
  );
}

function sameTexts(before: readonly string[], now: readonly string[]): boolean {
  return before.length === now.length && before.every((text, i) => text === now[i]);
}
