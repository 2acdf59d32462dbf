import { readFile } from 'node:fs/promises';
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import { isIPv6 } from 'node:net';
import { parse } from 'yaml';
import { z } from 'zod';
import { ApiError } from './api.ts';

/** Where the address of the API server and the credentials for it come from. */
export type ClusterAccess =
  | {
      readonly kind: 'kubeconfig';
      /** Merged as kubectl does: of two entries of one name the first counts. */
      readonly files: readonly string[];
      /** Instead of the current one. */
      readonly context?: string;
    }
  | {
      readonly kind: 'service-account';
      readonly server: string;
      /** Holds `token`, `ca.crt` and `namespace`, as the kubelet mounts them. */
      readonly directory: string;
    };

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * The first of: the file given, KUBECONFIG, the pod's own service account, ~/.kube/config. Reads no
 * file. null: there is none of them.
 */
export function findClusterAccess(
  kubeconfig: string | null,
  environment: Readonly<Record<string, string | undefined>>,
): ClusterAccess | null {
  if (kubeconfig !== null) return { kind: 'kubeconfig', files: [kubeconfig] };
  const of = (name: string): string => environment[name] ?? '';
  const named = of('KUBECONFIG')
    .split(delimiter)
    .filter((file) => file !== '');
  if (named.length > 0) return { kind: 'kubeconfig', files: named };
  const host = of('KUBERNETES_SERVICE_HOST');
  const port = of('KUBERNETES_SERVICE_PORT');
  if (host !== '' && port !== '') {
    const server = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`;
    return { kind: 'service-account', server, directory: SERVICE_ACCOUNT };
  }
  const home = of('HOME');
  return home === '' ? null : { kind: 'kubeconfig', files: [join(home, '.kube', 'config')] };
}

/** What applies of a configuration: one cluster, one user, all paths absolute. */
export interface ResolvedConfig {
  readonly server: string;
  /** That of the context or the service account; null where it names none. */
  readonly namespace: string | null;
  /** A kubeconfig of one cluster, one user and one context, without the token file. */
  readonly kubeconfig: Readonly<Record<string, unknown>>;
  /** Holds a bearer token that changes; null: the kubeconfig says it all. */
  readonly tokenFile: string | null;
}

/** Reads it; rejects with an ApiError that says what is wrong, without any of the content. */
export async function readClusterAccess(access: ClusterAccess): Promise<ResolvedConfig> {
  return access.kind === 'kubeconfig' ? readKubeconfig(access) : readServiceAccount(access);
}

const textSchema = z.string().nullish();
const clusterSchema = z.looseObject({ server: z.string(), 'certificate-authority': textSchema });
const execSchema = z.looseObject({
  apiVersion: textSchema,
  command: z.string(),
  env: z.array(z.object({ name: z.string(), value: z.string() })).nullish(),
});
const userSchema = z.looseObject({
  'client-certificate': textSchema,
  'client-key': textSchema,
  tokenFile: textSchema,
  exec: execSchema.nullish(),
});
const contextSchema = z.looseObject({
  cluster: z.string(),
  user: textSchema,
  namespace: textSchema,
});
const fileSchema = z.object({
  'current-context': textSchema,
  clusters: z.array(z.object({ name: z.string(), cluster: clusterSchema })).nullish(),
  users: z.array(z.object({ name: z.string(), user: userSchema.nullish() })).nullish(),
  contexts: z.array(z.object({ name: z.string(), context: contextSchema })).nullish(),
});

type Cluster = z.infer<typeof clusterSchema>;
type User = z.infer<typeof userSchema>;
type Context = z.infer<typeof contextSchema>;

interface Entries {
  readonly current: string;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly users: ReadonlyMap<string, User>;
  readonly contexts: ReadonlyMap<string, Context>;
}

async function readKubeconfig({
  files,
  context: wanted = '',
}: Extract<ClusterAccess, { kind: 'kubeconfig' }>): Promise<ResolvedConfig> {
  const parsed = await Promise.all(files.map((file) => readEntries(file, files.length > 1)));
  if (parsed.every((entries) => entries === NO_ENTRIES)) {
    throw unusable(files.join(delimiter), `none of these files is there; ${ANOTHER}`);
  }
  const merged = parsed.reduce((first, next) => ({
    current: first.current === '' ? next.current : first.current,
    clusters: new Map([...next.clusters, ...first.clusters]),
    users: new Map([...next.users, ...first.users]),
    contexts: new Map([...next.contexts, ...first.contexts]),
  }));
  const where = files.join(delimiter);
  const context = contextOf(merged, wanted, where);
  const cluster = merged.clusters.get(context.cluster);
  if (cluster === undefined) {
    throw unusable(where, `it has no cluster '${context.cluster}', which its context names`);
  }
  const user = context.user ? merged.users.get(context.user) : {};
  if (user === undefined) {
    throw unusable(where, `it has no user '${context.user ?? ''}', which its context names`);
  }
  if (!URL.canParse(cluster.server)) throw unusable(where, 'its server is not a URL');
  return resolved({ cluster, user, namespace: context.namespace ?? null });
}

function contextOf({ current, contexts }: Entries, wanted: string, where: string): Context {
  const name = wanted === '' ? current : wanted;
  if (name === '') {
    throw unusable(
      where,
      `it has no current-context; ${namesOf(contexts)}. kubectl config use-context NAME sets one, and status and check take --context NAME`,
    );
  }
  const context = contexts.get(name);
  if (context !== undefined) return context;
  const whence = wanted === '' ? ', which its current-context names' : '';
  throw unusable(where, `it has no context '${name}'${whence}; ${namesOf(contexts)}`);
}

const MOST_NAMES = 20;

function namesOf(contexts: Entries['contexts']): string {
  const names = [...contexts.keys()].toSorted();
  if (names.length === 0) return 'it has no contexts at all';
  const rest = names.length - MOST_NAMES;
  const more = rest > 0 ? ` and ${rest} more` : '';
  return `its contexts are ${names.slice(0, MOST_NAMES).join(', ')}${more}`;
}

async function readServiceAccount({
  server,
  directory,
}: Extract<ClusterAccess, { kind: 'service-account' }>): Promise<ResolvedConfig> {
  const namespace = await readFile(join(directory, 'namespace'), 'utf8').catch(() => '');
  return resolved({
    cluster: { server, 'certificate-authority': join(directory, 'ca.crt') },
    user: { tokenFile: join(directory, 'token') },
    namespace: namespace.trim(),
  });
}

function resolved(parts: {
  readonly cluster: Cluster;
  readonly user: User;
  readonly namespace: string | null;
}): ResolvedConfig {
  const { tokenFile, ...user } = parts.user;
  const { server } = parts.cluster;
  // client-node refuses plain HTTP (`kubectl proxy`) unless there is no TLS to verify.
  const plain = server.startsWith('http:') ? { 'insecure-skip-tls-verify': true } : {};
  return {
    server: server.replace(/\/+$/, ''),
    namespace: parts.namespace || null,
    tokenFile: tokenFile || null,
    kubeconfig: {
      clusters: [{ name: 'cluster', cluster: { ...parts.cluster, ...plain } }],
      users: [{ name: 'user', user }],
      contexts: [{ name: 'context', context: { cluster: 'cluster', user: 'user' } }],
      'current-context': 'context',
    },
  };
}

const ANOTHER = 'give --kubeconfig FILE, set KUBECONFIG, or use --guards FILE';
const NO_ENTRIES: Entries = {
  current: '',
  clusters: new Map(),
  users: new Map(),
  contexts: new Map(),
};

async function readEntries(file: string, mayBeMissing: boolean): Promise<Entries> {
  const text = await textOf(file);
  if (text === null) {
    if (mayBeMissing) return NO_ENTRIES;
    throw unusable(file, `there is no such file; ${ANOTHER}`);
  }
  const found = fileSchema.safeParse(parseYaml(file, text));
  if (!found.success) {
    const path = found.error.issues[0]?.path.join('.') ?? '';
    throw unusable(file, path === '' ? 'it is no kubeconfig' : `${path} is missing or malformed`);
  }
  return entriesOf(found.data, dirname(resolve(file)));
}

/** null: there is no such file. */
async function textOf(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    if (code === 'ENOENT') return null;
    throw unusable(file, `it can't be read (${code})`);
  }
}

function parseYaml(file: string, text: string): unknown {
  try {
    return parse(text, { prettyErrors: false, logLevel: 'error' });
  } catch {
    // The parser's own message may quote the line, and with it a key.
    throw unusable(file, 'it is not YAML');
  }
}

function entriesOf(file: z.infer<typeof fileSchema>, directory: string): Entries {
  const absolute = (path: string | null | undefined): string | null =>
    path ? (isAbsolute(path) ? path : join(directory, path)) : null;
  const cluster = (entry: Cluster): Cluster => ({
    ...entry,
    'certificate-authority': absolute(entry['certificate-authority']),
  });
  const user = (entry: User): User => ({
    ...entry,
    'client-certificate': absolute(entry['client-certificate']),
    'client-key': absolute(entry['client-key']),
    tokenFile: absolute(entry.tokenFile),
    ...(entry.exec ? { exec: pluginOf(entry.exec, absolute) } : {}),
  });
  return {
    current: file['current-context'] ?? '',
    clusters: firstOfEachName(file.clusters, (entry) => cluster(entry.cluster)),
    users: firstOfEachName(file.users, (entry) => user(entry.user ?? {})),
    contexts: firstOfEachName(file.contexts, (entry) => entry.context),
  };
}

function firstOfEachName<E extends { readonly name: string }, T>(
  entries: readonly E[] | null | undefined,
  value: (entry: E) => T,
): ReadonlyMap<string, T> {
  const reversed = (entries ?? []).toReversed();
  return new Map(reversed.map((entry) => [entry.name, value(entry)]));
}

/** A command with a slash is relative to its file; and plugins ask for what client-node leaves out. */
function pluginOf(
  exec: z.infer<typeof execSchema>,
  absolute: (path: string) => string | null,
): z.infer<typeof execSchema> {
  const info = {
    apiVersion: exec.apiVersion ?? 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    spec: { interactive: false },
  };
  return {
    ...exec,
    command: exec.command.includes('/') ? (absolute(exec.command) ?? exec.command) : exec.command,
    env: [{ name: 'KUBERNETES_EXEC_INFO', value: JSON.stringify(info) }, ...(exec.env ?? [])],
  };
}

function unusable(file: string, why: string): ApiError {
  return new ApiError('unreachable', `can't use the kubeconfig ${file}: ${why}`);
}
