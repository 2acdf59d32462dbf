/** Throws if this machine's system, or its processor if one is named, is another. */
export function requirePlatform(system: NodeJS.Platform, processor?: NodeJS.Architecture): void {
  const { platform, arch } = process;
  if (platform === system && (processor ?? arch) === arch) return;
  const wanted = processor === undefined ? system : `${system} on ${processor}`;
  throw new Error(`this machine is ${platform} on ${arch}, not ${wanted}`);
}
