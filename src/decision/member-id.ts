declare const memberIdBrand: unique symbol;

/** An etcd member id (uint64) as etcdctl prints it: lower-case hexadecimal without leading zeros. */
export type MemberId = string & { readonly [memberIdBrand]: true };

function isMemberId(text: string): text is MemberId {
  return /^[1-9a-f][0-9a-f]{0,15}$/.test(text);
}

/** Takes a hexadecimal id as etcdctl prints it; throws a RangeError on anything else. */
export function memberId(hex: string): MemberId {
  if (!isMemberId(hex)) throw new RangeError(`not a member id: '${hex}'`);
  return hex;
}

/** Reads the decimal form that etcd3 returns; etcd's 0 means "no member" and becomes null. */
export function memberIdFromDecimal(decimal: string): MemberId | null {
  const value = BigInt(decimal);
  return value === 0n ? null : memberId(value.toString(16));
}

/** The decimal form that etcd's API takes. */
export function memberIdToDecimal(id: MemberId): string {
  return BigInt(`0x${id}`).toString(10);
}
