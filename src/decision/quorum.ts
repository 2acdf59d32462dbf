/**
 * How many voters must agree: more than half of all voters in the member list, the one that is
 * about to go included, because a deleted pod stays a voter.
 */
export function quorumOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}
