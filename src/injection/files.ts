import { posix } from 'node:path';
import { asRecord, listOf, recordOf, stringOf, type Json } from '../admission/json.ts';
import type { InjectedFile } from './injection.ts';
import { append, NO_PART, type Part } from './operation.ts';
import { volumeName } from './volume-name.ts';

/** A container that may be given mounts. */
interface Container {
  readonly path: string;
  readonly name: string;
  readonly init: boolean;
  readonly json: Json;
  readonly added: Json[];
}

/** What a container has at a path: nothing, what is asked for, or something else. */
type Standing = 'free' | 'ours' | 'taken';

/** Volumes and mounts for these files; `spec` is the pod's. */
export function filesPart(spec: Json, files: readonly InjectedFile[]): Part {
  if (!isList(spec['volumes'])) return NO_PART;
  const containers = containersOf(spec);
  const volumes = new Volumes(listOf(spec['volumes']));
  const warnings: string[] = [];
  let holds = false;
  for (const file of files) {
    const outcome = placed(file, containers, volumes);
    warnings.push(...outcome.warnings);
    holds ||= outcome.holds;
  }
  const operations = [
    ...append(spec, '/spec/volumes', volumes.added),
    ...containers.flatMap(({ path, json, added }) => append(json, `${path}/volumeMounts`, added)),
  ];
  return { operations, warnings, holds };
}

/** Plans one file; the containers and the volumes remember it. */
function placed(
  file: InjectedFile,
  all: readonly Container[],
  volumes: Volumes,
): Omit<Part, 'operations'> {
  const { configMap, mountPath } = file;
  const name = volumeName(configMap);
  if (!volumes.isFree(name, configMap)) {
    const what = `the pod already has another volume ${name}`;
    return { warnings: [`${what}: ConfigMap ${configMap} is not mounted`], holds: false };
  }
  const containers = all.filter(({ init }) => !init || file.inInitContainers);
  const standing = containers.map((one) => ({ one, has: standingAt(one.json, file) }));
  const free = standing.filter(({ has }) => has === 'free').map(({ one }) => one);
  for (const { added } of free) added.push({ name, mountPath, readOnly: true });
  if (free.length > 0) volumes.need(name, configMap);
  const taken = standing.filter(({ has }) => has === 'taken').map(({ one }) => one.name);
  return {
    warnings:
      taken.length === 0
        ? []
        : [
            `${taken.join(', ')} already has something else at ${mountPath}: ConfigMap ${configMap} is not mounted there`,
          ],
    holds: standing.some(({ has }) => has !== 'taken'),
  };
}

/** The pod's volumes, and those that it is given. */
class Volumes {
  readonly added: Json[] = [];
  /** By name: the ConfigMap that it shows, empty for anything else. */
  readonly #shown = new Map<string, string>();

  constructor(volumes: readonly unknown[]) {
    for (const volume of volumes.map(recordOf)) {
      const configMap = recordOf(volume['configMap']);
      // With a choice of keys, or other paths for them, it is another directory.
      const whole = listOf(configMap['items']).length === 0;
      this.#shown.set(stringOf(volume['name']), whole ? stringOf(configMap['name']) : '');
    }
  }

  isFree(name: string, configMap: string): boolean {
    return (this.#shown.get(name) ?? configMap) === configMap;
  }

  need(name: string, configMap: string): void {
    if (this.#shown.has(name)) return;
    this.#shown.set(name, configMap);
    // Optional: without it the kubelet would keep the pod from starting until the ConfigMap exists.
    this.added.push({ name, configMap: { name: configMap, optional: true } });
  }
}

function containersOf(spec: Json): readonly Container[] {
  const at = (field: 'containers' | 'initContainers'): readonly Container[] =>
    listOf(spec[field]).flatMap((value, index) => {
      const json = asRecord(value);
      if (json === null || !isList(json['volumeMounts'])) return [];
      const path = `/spec/${field}/${index}`;
      const name = stringOf(json['name']);
      return [{ path, name, init: field === 'initContainers', json, added: [] }];
    });
  return [...at('initContainers'), ...at('containers')];
}

function standingAt(container: Json, { configMap, mountPath }: InjectedFile): Standing {
  const path = normal(mountPath);
  const mounts = listOf(container['volumeMounts']).map(recordOf);
  const there = mounts.filter((mount) => normal(stringOf(mount['mountPath'])) === path);
  // The API server refuses a pod that has a device and a mount at one path.
  const devices = listOf(container['volumeDevices']).map(recordOf);
  if (devices.some((device) => normal(stringOf(device['devicePath'])) === path)) return 'taken';
  if (there.length === 0) return 'free';
  return there.every((mount) => isOurs(mount, configMap)) ? 'ours' : 'taken';
}

function isOurs(mount: Json, configMap: string): boolean {
  const part = stringOf(mount['subPath']) + stringOf(mount['subPathExpr']);
  return mount['name'] === volumeName(configMap) && mount['readOnly'] === true && part === '';
}

function normal(path: string): string {
  const plain = posix.normalize(path);
  return plain.length > 1 ? plain.replace(/\/$/, '') : plain;
}

function isList(value: unknown): boolean {
  return value === undefined || value === null || Array.isArray(value);
}
