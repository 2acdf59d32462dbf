/** The host of `host:port`, `host`, `[v6]:port` or `[v6]`, lower case; null if it is none of these. */
export function hostOf(address: string): string | null {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<name>[^\s:/[\]]+))(?::(?<port>\d{1,5}))?$/.exec(
    address,
  );
  if (match?.groups === undefined) return null;
  const { v6, name, port } = match.groups;
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) return null;
  return (v6 ?? name ?? '').toLowerCase();
}

/** The address in lower case, with this port where it names none. */
export function withPort(address: string, port: number): string {
  const host = hostOf(address);
  if (host === null) return address;
  const given = address.toLowerCase();
  return /:\d+$/.test(given.replace(/^\[.*\]/, '')) ? given : `${given}:${port}`;
}
