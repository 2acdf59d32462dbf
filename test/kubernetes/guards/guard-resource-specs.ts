const selector = { matchLabels: { app: 'etcd' } };

/** Every field set, none to its default. */
export const FULL_SPEC = {
  selector: {
    matchLabels: { app: 'etcd' },
    matchExpressions: [
      { key: 'tier', operator: 'In', values: ['a', 'b'] },
      { key: 'track', operator: 'NotIn', values: ['canary'] },
      { key: 'app', operator: 'Exists' },
      { key: 'retired', operator: 'DoesNotExist', values: [] },
    ],
  },
  members: {
    port: 12_379,
    tls: { secretName: 'etcd-client-tls', serverName: '{pod}.etcd.default.svc' },
    auth: { secretName: 'etcd.auth' },
    addresses: { 'etcd-0': '10.1.2.3:2379', 'etcd-1': 'etcd-1.example.org', 'etcd-2': '[fd00::1]' },
  },
  policy: {
    leader: 'HandOff',
    handOff: ['Controllers', 'kate', 'group:etcd admins'],
    quorum: 'Warn',
    unknown: 'Allow',
    maxRaftLag: 1,
  },
  inject: {
    files: [
      { configMap: 'hello', mountPath: '/etc/config', inInitContainers: true },
      { configMap: 'etcd.scripts', mountPath: '/opt/..x/.y', inInitContainers: false },
    ],
    readinessGate: true,
    terminationGracePeriodSeconds: 60,
  },
};

/** What of a spec the API server and this program fill in. */
export const DEFAULT_SPEC = {
  members: {},
  policy: {
    leader: 'Deny',
    handOff: ['Evictions', 'Controllers'],
    quorum: 'Enforce',
    unknown: 'Deny',
    maxRaftLag: 1000,
  },
};

/** A spec that nobody may get past, neither the API server nor, where that let it through, us. */
export interface InvalidSpec {
  readonly name: string;
  readonly spec: unknown;
  /** The field as the API server names it. */
  readonly field: string;
  /** The problem as we name it. */
  readonly problem: string;
  /** Refused by a CEL rule, so by servers from 1.25 on. */
  readonly cel?: true;
}

function withPolicy(policy: object): object {
  return { selector, policy };
}

const NO_PATH = 'must be an absolute path without colons, dots alone and a slash at its end';

function withFiles(...files: readonly object[]): object {
  return { selector, inject: { files } };
}

function withMembers(members: object): object {
  return { selector, members };
}

function withRequirement(requirement: object): object {
  return { selector: { matchExpressions: [requirement] } };
}

export const INVALID_SPECS: readonly InvalidSpec[] = [
  {
    name: 'no selector',
    spec: {},
    field: 'spec.selector',
    problem: 'spec.selector: is missing (object)',
  },
  {
    name: 'an empty selector',
    spec: { selector: {} },
    field: 'spec.selector',
    problem: 'spec.selector: must not be empty',
  },
  {
    name: 'no labels',
    spec: { selector: { matchLabels: {} } },
    field: 'spec.selector.matchLabels',
    problem: 'spec.selector.matchLabels: must not be empty',
  },
  {
    name: 'no requirements',
    spec: { selector: { matchExpressions: [] } },
    field: 'spec.selector.matchExpressions',
    problem: 'spec.selector.matchExpressions: must not be empty',
  },
  {
    name: 'a label that is a number',
    spec: { selector: { matchLabels: { app: 1 } } },
    field: 'spec.selector.matchLabels.app',
    problem: 'spec.selector.matchLabels.app: must be string (found 1)',
  },
  {
    name: 'an operator that there is none of',
    spec: withRequirement({ key: 'app', operator: 'Gt', values: ['1'] }),
    field: 'spec.selector.matchExpressions.operator',
    problem:
      'spec.selector.matchExpressions[0].operator: must be In or NotIn or Exists or DoesNotExist (found "Gt")',
  },
  {
    name: 'In without values',
    spec: withRequirement({ key: 'app', operator: 'In' }),
    field: 'spec.selector.matchExpressions[0]',
    problem: 'spec.selector.matchExpressions[0].values: must not be empty for In',
    cel: true,
  },
  {
    name: 'NotIn without values',
    spec: withRequirement({ key: 'app', operator: 'NotIn', values: [] }),
    field: 'spec.selector.matchExpressions[0]',
    problem: 'spec.selector.matchExpressions[0].values: must not be empty for NotIn',
    cel: true,
  },
  {
    name: 'Exists with values',
    spec: withRequirement({ key: 'app', operator: 'Exists', values: ['etcd'] }),
    field: 'spec.selector.matchExpressions[0]',
    problem: 'spec.selector.matchExpressions[0].values: must be empty for Exists',
    cel: true,
  },
  {
    name: 'a label value that no label can have',
    spec: { selector: { matchLabels: { app: 'etcd cluster' } } },
    field: 'spec.selector.matchLabels.app',
    problem:
      'spec.selector.matchLabels.app: must be a label value: letters, digits, -, _ and ., beginning and ending with a letter or digit (found "etcd cluster")',
  },
  {
    name: 'a requirement on a key that no label can have',
    spec: withRequirement({ key: 'app name', operator: 'Exists' }),
    field: 'spec.selector.matchExpressions.key',
    problem:
      'spec.selector.matchExpressions[0].key: must be a label key: letters, digits, -, _ and ., at most 63; before them may stand a DNS subdomain and / (found "app name")',
  },
  {
    name: 'a requirement with a value that no label can have',
    spec: withRequirement({ key: 'app', operator: 'In', values: ['etcd,web'] }),
    field: 'spec.selector.matchExpressions.values',
    problem:
      'spec.selector.matchExpressions[0].values[0]: must be a label value: letters, digits, -, _ and ., beginning and ending with a letter or digit (found "etcd,web")',
  },
  {
    name: 'port 0',
    spec: withMembers({ port: 0 }),
    field: 'spec.members.port',
    problem: 'spec.members.port: must be at least 1 (found 0)',
  },
  {
    name: 'a port beyond all ports',
    spec: withMembers({ port: 65_536 }),
    field: 'spec.members.port',
    problem: 'spec.members.port: must be at most 65535 (found 65536)',
  },
  {
    name: 'a port by name',
    spec: withMembers({ port: 'client' }),
    field: 'spec.members.port',
    problem: 'spec.members.port: must be number (found "client")',
  },
  {
    name: 'TLS without a Secret',
    spec: withMembers({ tls: { serverName: 'etcd' } }),
    field: 'spec.members.tls.secretName',
    problem: 'spec.members.tls.secretName: is missing (string)',
  },
  {
    name: 'a server name with another variable',
    spec: withMembers({ tls: { secretName: 'tls', serverName: '{name}.etcd' } }),
    field: 'spec.members.tls.serverName',
    problem: 'spec.members.tls.serverName: must be a host name; {pod} may stand in it',
  },
  {
    name: 'a Secret with a namespace',
    spec: withMembers({ auth: { secretName: 'default/auth' } }),
    field: 'spec.members.auth.secretName',
    problem:
      'spec.members.auth.secretName: must be a DNS subdomain: lower-case letters, digits, - and .',
  },
  {
    name: 'a URL for an address',
    spec: withMembers({ addresses: { 'etcd-0': 'http://etcd-0:2379' } }),
    field: 'spec.members.addresses.etcd-0',
    problem:
      'spec.members.addresses.etcd-0: must be host:port or host, IPv6 in brackets (found "http://etcd-0:2379")',
  },
  {
    name: 'an address for what is no pod name',
    spec: withMembers({ addresses: { 'Etcd 0': 'etcd-0:2379' } }),
    field: 'spec.members.addresses',
    problem:
      'spec.members.addresses["Etcd 0"]: the key must be a DNS subdomain: lower-case letters, digits, - and .',
    cel: true,
  },
  {
    name: 'an unknown leader policy',
    spec: withPolicy({ leader: 'Refuse' }),
    field: 'spec.policy.leader',
    problem: 'spec.policy.leader: must be Deny or HandOff (found "Refuse")',
  },
  {
    name: 'an unknown quorum policy',
    spec: withPolicy({ quorum: 'enforce' }),
    field: 'spec.policy.quorum',
    problem: 'spec.policy.quorum: must be Enforce or Warn (found "enforce")',
  },
  {
    name: 'an unknown policy for the unknown',
    spec: withPolicy({ unknown: true }),
    field: 'spec.policy.unknown',
    problem: 'spec.policy.unknown: must be Deny or Allow (found true)',
  },
  {
    name: 'a lag of none at all',
    spec: withPolicy({ maxRaftLag: 0 }),
    field: 'spec.policy.maxRaftLag',
    problem: 'spec.policy.maxRaftLag: must be at least 1 (found 0)',
  },
  {
    name: 'a file at a path that is not absolute',
    spec: withFiles({ configMap: 'hello', mountPath: 'etc/config' }),
    field: 'spec.inject.files[0].mountPath',
    problem: `spec.inject.files[0].mountPath: ${NO_PATH} (found "etc/config")`,
  },
  {
    name: 'a file at a path with a colon',
    spec: withFiles({ configMap: 'hello', mountPath: '/etc:config' }),
    field: 'spec.inject.files[0].mountPath',
    problem: `spec.inject.files[0].mountPath: ${NO_PATH} (found "/etc:config")`,
  },
  {
    name: 'a file at the root',
    spec: withFiles({ configMap: 'hello', mountPath: '/' }),
    field: 'spec.inject.files[0].mountPath',
    problem: `spec.inject.files[0].mountPath: ${NO_PATH} (found "/")`,
  },
  {
    name: 'a file at a path that leads back',
    spec: withFiles({ configMap: 'hello', mountPath: '/etc/../config' }),
    field: 'spec.inject.files[0].mountPath',
    problem: `spec.inject.files[0].mountPath: ${NO_PATH} (found "/etc/../config")`,
  },
  {
    name: 'a file from no ConfigMap that there could be',
    spec: withFiles({ configMap: 'Hello', mountPath: '/etc/config' }),
    field: 'spec.inject.files[0].configMap',
    problem:
      'spec.inject.files[0].configMap: must be a DNS subdomain: lower-case letters, digits, - and . (found "Hello")',
  },
  {
    name: 'two files at one path',
    spec: withFiles(
      { configMap: 'one', mountPath: '/etc/config' },
      { configMap: 'other', mountPath: '/etc/config' },
    ),
    field: 'spec.inject.files',
    problem:
      'spec.inject.files[1].mountPath: must not be that of another file (found "/etc/config")',
  },
  {
    name: 'more files than there may be',
    spec: withFiles(
      ...Array.from({ length: 17 }, (_, at) => ({ configMap: 'hello', mountPath: `/etc/${at}` })),
    ),
    field: 'spec.inject.files',
    problem: 'spec.inject.files: must have at most 16 entries',
  },
  {
    name: 'a grace period of none at all',
    spec: { selector, inject: { terminationGracePeriodSeconds: 0 } },
    field: 'spec.inject.terminationGracePeriodSeconds',
    problem: 'spec.inject.terminationGracePeriodSeconds: must be at least 1 (found 0)',
  },
  {
    name: 'a hand-off to one who is blank',
    spec: withPolicy({ handOff: ['Evictions', '  '] }),
    field: 'spec.policy.handOff',
    problem: 'spec.policy.handOff[1]: must not begin or end with a blank (found "  ")',
  },
  {
    name: 'a hand-off to one without a name',
    spec: withPolicy({ handOff: [''] }),
    field: 'spec.policy.handOff',
    problem: 'spec.policy.handOff[0]: must not be empty (found "")',
  },
  {
    name: 'a group without a name',
    spec: withPolicy({ handOff: ['group:'] }),
    field: 'spec.policy.handOff[0]',
    problem:
      'spec.policy.handOff[0]: needs the name of a group right after group: (found "group:")',
    cel: true,
  },
  {
    name: 'evictions by a word that is none',
    spec: withPolicy({ handOff: ['Eviction'] }),
    field: 'spec.policy.handOff[0]',
    problem:
      'spec.policy.handOff[0]: is no user: the words are Evictions and Controllers (found "Eviction")',
    cel: true,
  },
  {
    name: 'controllers in lower case',
    spec: withPolicy({ handOff: ['Evictions', 'controllers'] }),
    field: 'spec.policy.handOff[1]',
    problem:
      'spec.policy.handOff[1]: is no user: the words are Evictions and Controllers (found "controllers")',
    cel: true,
  },
  {
    name: 'a list that is none',
    spec: withPolicy({ handOff: 'Evictions' }),
    field: 'spec.policy.handOff',
    problem: 'spec.policy.handOff: must be array (found "Evictions")',
  },
  {
    name: 'null for a selector',
    spec: { selector: null },
    field: 'spec.selector',
    problem: 'spec.selector: must be object (found null)',
  },
];

/** Specs that no server refuses, but that select nothing: only we say so. */
export const UNMEETABLE_SPECS: readonly {
  readonly name: string;
  readonly spec: unknown;
  readonly problem: string;
}[] = [
  {
    name: 'a key that no label can have',
    spec: { selector: { matchLabels: { 'app name': 'etcd' } } },
    problem:
      'spec.selector.matchLabels["app name"]: the key must be a label key: letters, digits, -, _ and ., at most 63; before them may stand a DNS subdomain and /',
  },
  {
    name: 'two values for one label',
    spec: {
      selector: {
        matchLabels: { app: 'etcd' },
        matchExpressions: [{ key: 'app', operator: 'In', values: ['web', 'api'] }],
      },
    },
    problem: 'spec.selector: no pod can meet all that it asks of the label app',
  },
  {
    name: 'a label that must be there and must not',
    spec: {
      selector: {
        matchExpressions: [
          { key: 'app', operator: 'Exists' },
          { key: 'app', operator: 'DoesNotExist' },
        ],
      },
    },
    problem: 'spec.selector: no pod can meet all that it asks of the label app',
  },
  {
    name: 'a value that is excluded as well',
    spec: {
      selector: {
        matchLabels: { app: 'etcd' },
        matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['etcd'] }],
      },
    },
    problem: 'spec.selector: no pod can meet all that it asks of the label app',
  },
];
