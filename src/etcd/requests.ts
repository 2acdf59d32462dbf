import type { IMember, IRangeResponse, IStatusResponse } from 'etcd3';

import { memberIdToDecimal } from '../decision/member-id.ts';
import type { MemberId } from '../decision/member-id.ts';
import type { MemberRequest } from './member-connection.ts';

/** Answered by the member alone, whether or not there is a quorum. */
export const STATUS: MemberRequest<IStatusResponse> = {
  method: 'Status',
  send: (client, options) => client.maintenance.status(options),
};

/** The member's own list: from 3.5 on a linearizable one could be had, which needs a quorum. */
export const MEMBER_LIST: MemberRequest<readonly IMember[]> = {
  method: 'MemberList',
  send: async (client, options) => (await client.cluster.memberList({}, options)).members,
};

// Counts a key that need not exist, so that nothing of the data is read.
const READ = { key: Buffer.from('etcd-guard'), count_only: true, limit: 1 };

/** A linearizable read: the member has to confirm its read index with a quorum. */
export const LINEARIZABLE_READ: MemberRequest<IRangeResponse> = {
  method: 'Range',
  send: (client, options) => client.kv.range(READ, options),
};

/** To be sent to the leader. */
export function moveLeaderTo(to: MemberId): MemberRequest<unknown> {
  return {
    method: 'MoveLeader',
    send: (client, options) =>
      client.maintenance.moveLeader({ targetID: memberIdToDecimal(to) }, options),
  };
}
