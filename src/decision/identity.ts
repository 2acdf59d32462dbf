import type { MemberId } from './member-id.ts';
import type { Answer, ListedMember, PodFacts } from './situation.ts';

/** Which members each pod may be; `null` among the readings is "no member at all". */
export interface Identities {
  readingsOf(pod: string): readonly (MemberId | null)[];
  /** Pods that answer as this member, or that match it without answering. */
  podsOf(id: MemberId): readonly string[];
}

interface Claim {
  readonly pod: string;
  /** What the pod is by its own answer or by the list; empty: it matches nothing. */
  readonly ids: readonly MemberId[];
  /** The pod answered with an id of this cluster, listed or not. */
  readonly answered: boolean;
}

/**
 * Tells which pod is which member: by the id that the pod's member gives itself; for one that does
 * not, by the addresses in the member list, then by member name. What stays open is judged as every
 * member that it could be and as none.
 */
export function identify(
  list: readonly ListedMember[],
  pods: readonly PodFacts[],
  answers: ReadonlyMap<string, Answer>,
  clusterId: string,
): Identities {
  const claims = pods.map((pod) => claimOf(pod, answers.get(pod.name), { list, pods, clusterId }));
  const podsById = new Map<MemberId, string[]>(list.map((member) => [member.id, []]));
  for (const claim of claims) {
    for (const id of claim.ids) podsById.get(id)?.push(claim.pod);
  }
  const unmatched = list.filter((m) => podsById.get(m.id)?.length === 0).map((m) => m.id);
  const byPod = new Map(claims.map((claim) => [claim.pod, claim]));

  return {
    podsOf: (id) => podsById.get(id) ?? [],
    readingsOf(pod) {
      const claim = byPod.get(pod) ?? { pod, ids: [], answered: false };
      const [only] = claim.ids;
      if (only === undefined) return claim.answered ? [null] : [...unmatched, null];
      const sure = claim.ids.length === 1 && podsById.get(only)?.length === 1;
      return sure ? [only] : [...claim.ids, ...unmatched, null];
    },
  };
}

interface Surroundings {
  readonly list: readonly ListedMember[];
  readonly pods: readonly PodFacts[];
  readonly clusterId: string;
}

function claimOf(pod: PodFacts, answer: Answer | undefined, around: Surroundings): Claim {
  if (answer?.kind === 'status') {
    const here = answer.clusterId === around.clusterId;
    const listed = here && around.list.some((member) => member.id === answer.id);
    return { pod: pod.name, ids: listed ? [answer.id] : [], answered: true };
  }
  const byUrl = matchByUrl(pod, around);
  const byName = around.list.filter((member) => member.name === pod.name).map(({ id }) => id);
  const ids = byUrl === undefined ? byName : [byUrl, ...byName];
  return { pod: pod.name, ids: [...new Set(ids)], answered: false };
}

/** By client address where that is exact, else by a host that only this pod and one member have. */
function matchByUrl(pod: PodFacts, around: Surroundings): MemberId | undefined {
  const exact = around.list.filter(
    (member) => pod.address !== null && member.clientAddresses.includes(pod.address),
  );
  if (exact.length === 1) return exact[0]?.id;
  const byHost = around.list.filter((member) => sharesHost(pod, member));
  const [only] = byHost;
  if (only === undefined || byHost.length > 1) return undefined;
  return around.pods.filter((other) => sharesHost(other, only)).length > 1 ? undefined : only.id;
}

function sharesHost(pod: PodFacts, member: ListedMember): boolean {
  return pod.hosts.some((host) => member.hosts.some((listed) => isHost(listed, host)));
}

/** `etcd-0` also goes by `etcd-0.etcd.default.svc`; an IP address only by itself. */
function isHost(listed: string, host: string): boolean {
  return listed === host || (listed.startsWith(`${host}.`) && !/^[\d.]+$/.test(listed));
}
