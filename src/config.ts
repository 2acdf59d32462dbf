import { parseArgs, type ParseArgsConfig } from 'node:util';
import { parseGoDuration } from './server/request-timeout.ts';
import { parseListenAddress, type ListenAddress } from './server/listen.ts';
import { LOG_LEVELS, type LogLevel } from './telemetry/logger.ts';

/** Guards from files, or from the EtcdGuards of a cluster; a null kubeconfig is looked for. */
export type GuardsConfig =
  | { readonly kind: 'files'; readonly files: readonly string[] }
  | {
      readonly kind: 'cluster';
      readonly kubeconfig: string | null;
      /** null: the current one. */
      readonly context: string | null;
    };

/** Who answers in a dry run; auto: etcd, and where it can't be judged from here, the API server. */
export type Via = 'auto' | 'direct' | 'webhook';

/** `etcd-guard serve`. */
export interface ServeConfig {
  readonly command: 'serve';
  readonly guards: GuardsConfig;
  readonly listen: ListenAddress;
  readonly metricsListen: ListenAddress;
  /** null: a certificate is made: in memory with guards from files, else kept in the cluster. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
  /** Whose certificates callers must have, and which names; null: whoever reaches us may ask. */
  readonly clients: { readonly caFile: string; readonly names: readonly string[] } | null;
  /** null: plain HTTP. */
  readonly metricsTls: { readonly certFile: string; readonly keyFile: string } | null;
  /** null: whoever reaches the metrics port may read. */
  readonly metricsTokenFile: string | null;
  /** Names of what a certificate that is kept in the cluster has to do with. */
  readonly certificate: {
    readonly secret: string;
    readonly service: string;
    /** Of the ValidatingWebhookConfiguration. */
    readonly configuration: string;
    /** Of the Secret and the Service; null: where we run. */
    readonly namespace: string | null;
  };
  readonly logLevel: LogLevel;
  /** null: pretty on a terminal, else JSON. */
  readonly logFormat: 'json' | 'pretty' | null;
  readonly shutdownDelayMs: number;
  /** Whether members' pods are labelled with their role. */
  readonly roleLabels: boolean;
  /** Whether there is a page for people at `/` of the plain HTTP port. */
  readonly statusPage: boolean;
  /** What is answered besides deletions of etcd pods; only in a cluster. */
  readonly capabilities: readonly CapabilityName[];
}

/** Something that a component of the installation turns on, by the flag of this name. */
export type CapabilityName = (typeof CAPABILITIES)[number];

/** `etcd-guard status`. */
export interface StatusConfig {
  readonly command: 'status';
  readonly guards: GuardsConfig;
  /** null: all guards of the namespace. */
  readonly name: string | null;
  /** null: the kubeconfig's, or else `default`. */
  readonly namespace: string | null;
  readonly allNamespaces: boolean;
  readonly via: Via;
  readonly output: 'table' | 'json' | 'yaml' | 'name';
  readonly watch: boolean;
}

/** `etcd-guard check`. */
export interface CheckConfig {
  readonly command: 'check';
  readonly guards: GuardsConfig;
  readonly pod: string;
  /** null: the kubeconfig's, or else `default`. */
  readonly namespace: string | null;
  readonly via: Via;
  readonly eviction: boolean;
  readonly output: 'text' | 'json' | 'yaml';
}

/** `etcd-guard wait`. */
export interface WaitConfig {
  readonly command: 'wait';
  readonly guards: GuardsConfig;
  readonly pod: string;
  /** null: the kubeconfig's, or else `default`. */
  readonly namespace: string | null;
  readonly via: Via;
  readonly condition: (typeof WAIT_CONDITIONS)[number];
  readonly timeoutMs: number;
}

/** `etcd-guard handoff`. */
export interface HandOffConfig {
  readonly command: 'handoff';
  readonly guards: GuardsConfig;
  /** null: whichever leads. */
  readonly pod: string | null;
  /** null: the only one there is. */
  readonly guard: string | null;
  /** null: whom the guard would choose. */
  readonly to: string | null;
  /** null: the kubeconfig's, or else `default`. */
  readonly namespace: string | null;
  readonly yes: boolean;
  readonly dryRun: boolean;
  readonly timeoutMs: number;
}

/** `etcd-guard explain`. */
export interface ExplainConfig {
  readonly command: 'explain';
  /** null: all of them. */
  readonly reason: string | null;
}

/** `etcd-guard completion`. */
export interface CompletionConfig {
  readonly command: 'completion';
  readonly shell: (typeof SHELLS)[number];
}

/** What a shell asks while somebody types. */
export interface CompleteConfig {
  readonly command: '__complete';
  /** The last is being typed, and may be empty. */
  readonly words: readonly string[];
}

/** What the command line asks for; `problems` are all that is wrong with it. */
export type Config =
  | ServeConfig
  | StatusConfig
  | CheckConfig
  | WaitConfig
  | HandOffConfig
  | ExplainConfig
  | CompletionConfig
  | CompleteConfig
  | { readonly command: 'help'; readonly topic: string | null }
  | { readonly command: 'version' }
  | {
      readonly command: 'invalid';
      readonly topic: string | null;
      readonly problems: readonly string[];
    };

type Values = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
type Options = NonNullable<ParseArgsConfig['options']>;

interface Command {
  /** Besides --help, which each command has. */
  readonly options: Options;
  /** The one word that may follow; with `missing`, which is said then, it has to. */
  readonly word?: { readonly is: Word; readonly missing?: string };
  readonly read: (values: Values, words: readonly string[], problems: string[]) => Config;
}

/** What the word after a command is. */
type Word = 'pod' | 'guard' | 'reason' | 'shell';

const CAPABILITIES = ['exclusive-locks', 'injection'] as const;
const WAIT_CONDITIONS = ['deletable', 'healthy'] as const;
/** The shells that completion is for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
const VIA = ['auto', 'direct', 'webhook'] as const;
const STATUS_OUTPUTS = ['table', 'json', 'yaml', 'name'] as const;
const CHECK_OUTPUTS = ['text', 'json', 'yaml'] as const;
const LOG_FORMATS = ['json', 'pretty'] as const;
const ON_OFF = ['on', 'off'] as const;

/** What Kubernetes takes for the name of a pod. */
const OBJECT_NAME = /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/;

const GUARDS: Options = {
  guards: { type: 'string', multiple: true },
  kubeconfig: { type: 'string' },
};
/** Which guards people mean, and where. */
const MEANT: Options = {
  ...GUARDS,
  context: { type: 'string' },
  namespace: { type: 'string', short: 'n' },
};
/** Of the commands that answer a question. */
const ASKING: Options = {
  ...MEANT,
  output: { type: 'string', short: 'o' },
  via: { type: 'string' },
};
const POD = { is: 'pod', missing: 'the name of a pod is missing' } as const;
const HELP: Options = { help: { type: 'boolean', short: 'h' } };

const COMMANDS: Readonly<Record<string, Command>> = {
  serve: {
    options: {
      ...GUARDS,
      listen: { type: 'string' },
      'metrics-listen': { type: 'string' },
      'tls-cert': { type: 'string' },
      'tls-key': { type: 'string' },
      'client-ca': { type: 'string' },
      'client-name': { type: 'string', multiple: true },
      'metrics-tls-cert': { type: 'string' },
      'metrics-tls-key': { type: 'string' },
      'metrics-token-file': { type: 'string' },
      'certificate-secret': { type: 'string' },
      'webhook-configuration': { type: 'string' },
      service: { type: 'string' },
      namespace: { type: 'string', short: 'n' },
      'log-level': { type: 'string' },
      'log-format': { type: 'string' },
      'shutdown-delay': { type: 'string' },
      'role-labels': { type: 'boolean' },
      'exclusive-locks': { type: 'boolean' },
      injection: { type: 'boolean' },
      'status-page': { type: 'string' },
    },
    read: readServe,
  },
  status: {
    options: {
      ...ASKING,
      'all-namespaces': { type: 'boolean', short: 'A' },
      watch: { type: 'boolean', short: 'w' },
    },
    word: { is: 'guard' },
    read: readStatus,
  },
  check: {
    options: {
      ...ASKING,
      eviction: { type: 'boolean' },
    },
    word: POD,
    read: readCheck,
  },
  wait: {
    options: {
      ...MEANT,
      via: { type: 'string' },
      for: { type: 'string' },
      timeout: { type: 'string' },
    },
    word: POD,
    read: readWait,
  },
  handoff: {
    options: {
      ...MEANT,
      guard: { type: 'string' },
      to: { type: 'string' },
      timeout: { type: 'string' },
      yes: { type: 'boolean', short: 'y' },
      'dry-run': { type: 'boolean' },
    },
    word: { is: 'pod' },
    read: readHandOff,
  },
  explain: {
    options: {},
    word: { is: 'reason' },
    read: (_values, words) => ({ command: 'explain', reason: words[0] ?? null }),
  },
  completion: {
    options: {},
    word: { is: 'shell', missing: 'the name of a shell is missing: bash, zsh or fish' },
    read: readCompletion,
  },
};

function optionsOf({ options }: Command): Options {
  return { ...options, ...HELP };
}

const KNOWN = Object.keys(COMMANDS).join(', ');

/** For completion: one option of a command, and the values that it takes, if these are a closed set. */
export interface OptionShape {
  readonly name: string;
  readonly short: string | null;
  readonly takesValue: boolean;
  readonly values: readonly string[];
}

/** For completion: a command. */
export interface CommandShape {
  readonly name: string;
  /** What its word is; null: it takes none. */
  readonly word: Word | null;
  readonly options: readonly OptionShape[];
}

/** Option values of closed sets, by command or for all. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  via: VIA,
  for: WAIT_CONDITIONS,
  'log-level': LOG_LEVELS,
  'log-format': LOG_FORMATS,
  'status-page': ON_OFF,
  'status output': STATUS_OUTPUTS,
  'check output': CHECK_OUTPUTS,
};

/** Every command and its options, as the command line is read by. */
export function commandShapes(): readonly CommandShape[] {
  return Object.entries(COMMANDS).map(([name, command]) => ({
    name,
    word: command.word?.is ?? null,
    options: Object.entries(optionsOf(command)).map(([option, { type, short = null }]) => ({
      name: option,
      short,
      takesValue: type === 'string',
      values: VALUES[`${name} ${option}`] ?? VALUES[option] ?? [],
    })),
  }));
}

/** Reads the command line (without the program's own name); never throws. */
export function parseConfig(args: readonly string[]): Config {
  const [first = '--help', ...rest] = args;
  if (['--help', '-h'].includes(first)) return { command: 'help', topic: null };
  if (first === 'help') return readHelp(rest[0] ?? null);
  if (['--version', 'version'].includes(first)) return { command: 'version' };
  if (first === '__complete') return { command: '__complete', words: rest };
  const command = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  if (command !== undefined) return readCommand(first, command, rest);
  return invalid(null, [`unknown command '${first}'; the commands are ${KNOWN}`]);
}

function readHelp(topic: string | null): Config {
  if (topic === null || Object.hasOwn(COMMANDS, topic)) return { command: 'help', topic };
  return invalid(null, [`no help on '${topic}'; the commands are ${KNOWN}`]);
}

function readCommand(name: string, command: Command, args: readonly string[]): Config {
  const problems: string[] = [];
  const options = optionsOf(command);
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values: Record<string, string | boolean | string[]> = {};
  const words: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind === 'option') takeOption(token, options, { values, problems });
  }
  if (values['help'] === true) return { command: 'help', topic: name };
  checkWords(command, words, problems);
  const config = command.read(values, words, problems);
  return problems.length > 0 ? invalid(name, problems) : config;
}

function checkWords({ word }: Command, words: readonly string[], problems: string[]): void {
  const missing = words.length === 0 ? word?.missing : undefined;
  const surplus = words[word === undefined ? 0 : 1];
  if (missing !== undefined) problems.push(missing);
  if (surplus !== undefined) problems.push(`unexpected argument '${surplus}'`);
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
}

function takeOption(
  { name, rawName, value }: OptionToken,
  options: Options,
  into: {
    readonly values: Record<string, string | boolean | string[]>;
    readonly problems: string[];
  },
): void {
  const option = Object.hasOwn(options, name) ? options[name] : undefined;
  if (option === undefined) {
    into.problems.push(`unknown option '${rawName}'`);
  } else if (option.type === 'boolean') {
    if (value !== undefined) into.problems.push(`${rawName} takes no value`);
    into.values[name] = true;
  } else if (value === undefined || value === '') {
    into.problems.push(`${rawName} needs a value`);
  } else if (option.multiple === true) {
    const before = into.values[name];
    into.values[name] = [...(Array.isArray(before) ? before : []), value];
  } else {
    into.values[name] = value;
  }
}

function readServe(values: Values, _words: readonly string[], problems: string[]): ServeConfig {
  const guards = guardsConfig(values, problems);
  return {
    command: 'serve',
    guards,
    listen: listenAddress(values, 'listen', '0.0.0.0:8443', problems),
    metricsListen: listenAddress(values, 'metrics-listen', '0.0.0.0:8080', problems),
    tls: tlsFiles(values, 'tls', problems),
    clients: clients(values, problems),
    metricsTls: tlsFiles(values, 'metrics-tls', problems),
    metricsTokenFile: text(values, 'metrics-token-file') ?? null,
    certificate: {
      secret: objectName(values, 'certificate-secret', problems) ?? 'etcd-guard-tls',
      service: objectName(values, 'service', problems) ?? 'etcd-guard',
      configuration: objectName(values, 'webhook-configuration', problems) ?? 'etcd-guard',
      namespace: objectName(values, 'namespace', problems),
    },
    logLevel: oneOf(values, 'log-level', LOG_LEVELS, problems) ?? 'info',
    logFormat: oneOf(values, 'log-format', LOG_FORMATS, problems),
    shutdownDelayMs: duration(values, 'shutdown-delay', '5s', problems),
    roleLabels: clusterFlag(values, 'role-labels', guards, problems),
    statusPage: oneOf(values, 'status-page', ON_OFF, problems) !== 'off',
    capabilities: CAPABILITIES.filter((name) => clusterFlag(values, name, guards, problems)),
  };
}

/** Whether it is asked for; only guards from a cluster have it. */
function clusterFlag(
  values: Values,
  name: CapabilityName | 'role-labels',
  { kind }: GuardsConfig,
  problems: string[],
): boolean {
  const asked = values[name] === true;
  if (asked && kind === 'files') problems.push(`--guards and --${name} exclude each other`);
  return asked;
}

function readStatus(values: Values, words: readonly string[], problems: string[]): StatusConfig {
  const allNamespaces = values['all-namespaces'] === true;
  if (allNamespaces && values['namespace'] !== undefined) {
    problems.push('--namespace and --all-namespaces exclude each other');
  }
  return {
    command: 'status',
    guards: guardsConfig(values, problems),
    name: words[0] ?? null,
    namespace: text(values, 'namespace') ?? null,
    allNamespaces,
    via: via(values, problems),
    output: oneOf(values, 'output', STATUS_OUTPUTS, problems) ?? 'table',
    watch: values['watch'] === true,
  };
}

function readCheck(values: Values, words: readonly string[], problems: string[]): CheckConfig {
  return {
    command: 'check',
    guards: guardsConfig(values, problems),
    pod: podName(words[0], problems) ?? '',
    namespace: namespaceName(values, problems),
    via: via(values, problems),
    eviction: values['eviction'] === true,
    output: oneOf(values, 'output', CHECK_OUTPUTS, problems) ?? 'text',
  };
}

function readWait(values: Values, words: readonly string[], problems: string[]): WaitConfig {
  const condition = oneOf(values, 'for', WAIT_CONDITIONS, problems);
  if (values['for'] === undefined)
    problems.push(`--for is missing: ${WAIT_CONDITIONS.join(' or ')}`);
  return {
    command: 'wait',
    guards: guardsConfig(values, problems),
    pod: podName(words[0], problems) ?? '',
    namespace: namespaceName(values, problems),
    via: via(values, problems),
    condition: condition ?? 'deletable',
    timeoutMs: duration(values, 'timeout', '30s', problems),
  };
}

function readHandOff(values: Values, words: readonly string[], problems: string[]): HandOffConfig {
  const pod = podName(words[0], problems);
  const to = podName(text(values, 'to'), problems);
  if (pod !== null && pod === to) problems.push(`leadership can't be moved from ${pod} to itself`);
  const timeoutMs = duration(values, 'timeout', '10s', problems);
  if (timeoutMs > LONGEST_HAND_OFF_MS) {
    problems.push(
      '--timeout of a hand-off can be at most 30s: by then the guard would make it anew',
    );
  }
  return {
    command: 'handoff',
    guards: guardsConfig(values, problems),
    pod,
    to,
    guard: text(values, 'guard') ?? null,
    namespace: namespaceName(values, problems),
    yes: values['yes'] === true,
    dryRun: values['dry-run'] === true,
    timeoutMs,
  };
}

function readCompletion(
  _values: Values,
  [word = '']: readonly string[],
  problems: string[],
): CompletionConfig {
  const shell = SHELLS.find((one) => one === word);
  if (word !== '' && shell === undefined) {
    problems.push(`no completion for '${word}'; the shells are ${SHELLS.join(', ')}`);
  }
  return { command: 'completion', shell: shell ?? 'bash' };
}

function podNameHint(given: string): string {
  const [, after = ''] = /^pods?\/(.+)$/.exec(given) ?? [];
  return OBJECT_NAME.test(after)
    ? `write ${after}, not ${given}`
    : 'it takes lower-case letters, digits, - and .';
}

function podName(given: string | undefined, problems: string[]): string | null {
  if (given !== undefined && !OBJECT_NAME.test(given)) {
    problems.push(`'${given}' is not the name of a pod: ${podNameHint(given)}`);
  }
  return given ?? null;
}

function namespaceName(values: Values, problems: string[]): string | null {
  const namespace = text(values, 'namespace') ?? null;
  if (namespace !== null && !OBJECT_NAME.test(namespace)) {
    problems.push(`'${namespace}' is not the name of a namespace`);
  }
  return namespace;
}

function guardsConfig(values: Values, problems: string[]): GuardsConfig {
  const kubeconfig = text(values, 'kubeconfig') ?? null;
  const context = text(values, 'context') ?? null;
  const files = values['guards'];
  if (!Array.isArray(files)) return { kind: 'cluster', kubeconfig, context };
  for (const name of ['kubeconfig', 'context', 'via']) {
    if (values[name] !== undefined) problems.push(`--guards and --${name} exclude each other`);
  }
  return { kind: 'files', files };
}

function via(values: Values, problems: string[]): Via {
  return oneOf(values, 'via', VIA, problems) ?? 'auto';
}

function listenAddress(
  values: Values,
  name: string,
  otherwise: string,
  problems: string[],
): ListenAddress {
  const given = text(values, name) ?? otherwise;
  const address = parseListenAddress(given);
  if (address !== null) return address;
  problems.push(`--${name} must be HOST:PORT (found '${given}')`);
  return { host: null, port: 0 };
}

function tlsFiles(
  values: Values,
  prefix: 'tls' | 'metrics-tls',
  problems: string[],
): ServeConfig['tls'] {
  const certFile = text(values, `${prefix}-cert`);
  const keyFile = text(values, `${prefix}-key`);
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile };
  if (certFile !== keyFile) problems.push(`--${prefix}-cert and --${prefix}-key go together`);
  return null;
}

function clients(values: Values, problems: string[]): ServeConfig['clients'] {
  const caFile = text(values, 'client-ca');
  const names = values['client-name'];
  if (caFile !== undefined) return { caFile, names: Array.isArray(names) ? names : [] };
  // Names alone would look as if they kept anybody out.
  if (names !== undefined) problems.push('--client-name needs --client-ca');
  return null;
}

function objectName(values: Values, name: string, problems: string[]): string | null {
  const given = text(values, name);
  if (given !== undefined && !OBJECT_NAME.test(given)) {
    problems.push(`--${name} must be the name of an object (found '${given}')`);
  }
  return given ?? null;
}

function duration(values: Values, name: string, otherwise: string, problems: string[]): number {
  const given = text(values, name) ?? otherwise;
  const ms = /^0(s|ms)?$/.test(given) ? 0 : parseGoDuration(given);
  if (ms === null) problems.push(`--${name} must be a duration such as 5s (found '${given}')`);
  if ((ms ?? 0) > LONGEST_MS) problems.push(`--${name} can be at most 596h (found '${given}')`);
  return ms ?? 0;
}

/** Timers run off at once if they are to wait longer. */
const LONGEST_MS = 2 ** 31 - 1;
/** The guard makes a hand-off anew that is still in its ledger a little later. */
const LONGEST_HAND_OFF_MS = 30_000;

function oneOf<const T extends string>(
  values: Values,
  name: string,
  allowed: readonly T[],
  problems: string[],
): T | null {
  const given = text(values, name);
  if (given === undefined) return null;
  const found = allowed.find((one) => one === given);
  if (found === undefined) {
    problems.push(`--${name} must be one of ${allowed.join(', ')} (found '${given}')`);
  }
  return found ?? null;
}

function text(values: Values, name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

function invalid(topic: string | null, problems: readonly string[]): Config {
  return { command: 'invalid', topic, problems };
}
