import type { IMember, IStatusResponse } from 'etcd3';

import type { MemberId } from '../decision/member-id.ts';
import { memberIdFromDecimal } from '../decision/member-id.ts';
import type { ListedMember, ProofAnswer, StatusAnswer } from '../decision/situation.ts';

/** Who a Status says it comes from, and whom it names; null from something without a member id. */
export function statusIdentity(status: IStatusResponse): ProofAnswer['after'] {
  const id = memberIdFromDecimal(status.header.member_id);
  const clusterId = memberIdFromDecimal(status.header.cluster_id);
  if (id === null || clusterId === null) return null;
  return { id, clusterId, leader: memberIdFromDecimal(status.leader) };
}

/** Status and list as one answer; null from something without a member id. */
export function statusAnswer(
  status: IStatusResponse,
  list: readonly ListedMember[] | null,
): StatusAnswer | null {
  const identity = statusIdentity(status);
  if (identity === null) return null;
  const raftIndex = BigInt(status.raftIndex);
  return {
    kind: 'status',
    ...identity,
    list,
    term: BigInt(status.raftTerm),
    raftIndex,
    appliedIndex: reportsAppliedIndex(status.version) ? BigInt(status.raftAppliedIndex) : raftIndex,
    corrupt: alarmed(status.errors, 'CORRUPT'),
    noSpace: alarmed(status.errors, 'NOSPACE'),
  };
}

/**
 * Status has the applied index from 3.4 on. There a 0 is true of a member that has only just
 * joined, which lags; before 3.4 it means nothing, and the committed index has to do.
 */
function reportsAppliedIndex(version: string): boolean {
  return !/^3\.[0-3]\./.test(version);
}

function alarmed(errors: readonly string[], alarm: string): readonly MemberId[] {
  return errors.flatMap((error) => {
    const match = /memberID:(?<id>\d+)\s+alarm:(?<alarm>\w+)/.exec(error)?.groups;
    const id = match?.['alarm'] === alarm ? memberIdFromDecimal(match['id'] ?? '0') : null;
    return id === null ? [] : [id];
  });
}

/** Reads member lists; the same content gives the same object, since lists hardly ever change. */
export class MemberLists {
  #raw: readonly IMember[] = [];
  #parsed: readonly ListedMember[] = [];

  /** null for a list that names a member without an id. */
  read(members: readonly IMember[]): readonly ListedMember[] | null {
    if (sameMembers(this.#raw, members)) return this.#parsed;
    const parsed: ListedMember[] = [];
    for (const member of members) {
      const id = memberIdFromDecimal(member.ID);
      if (id === null) return null;
      parsed.push(listedMember(id, member));
    }
    this.#raw = members;
    this.#parsed = parsed;
    return parsed;
  }
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
