import { describe, expect, it } from 'vitest';
import { parseGuards, problemText } from '../../src/guards/document.ts';

type Json = Readonly<Record<string, unknown>>;

/** A whole guard, with the given spec fields beside the one that every guard needs. */
function guard(spec: Json = {}, members: Json = {}): Json {
  return {
    apiVersion: 'etcd-guard.io/v1alpha1',
    kind: 'EtcdGuard',
    metadata: { name: 'etcd' },
    spec: { members: { addresses: { 'etcd-0': '10.0.0.1' }, ...members }, ...spec },
  };
}

function named(name: string): string {
  return JSON.stringify({ ...guard(), metadata: { name } });
}

/** Unlike an object literal, JSON makes `__proto__` a key as any other. */
function fromJson(text: string): unknown {
  return JSON.parse(text);
}

function problemsOf(content: unknown): readonly string[] {
  return problemsIn(JSON.stringify(content));
}

function problemsIn(text: string): readonly string[] {
  const prefix = 'guards.yaml: document 1: ';
  return (parseGuards('guards.yaml', text).problems ?? []).map((problem) =>
    problemText(problem).replace(prefix, ''),
  );
}

function addressesOf(members: Json): Json {
  const [first] = parseGuards('guards.yaml', JSON.stringify(guard({}, members))).guards ?? [];
  return first?.guard.spec.members.addresses ?? {};
}

describe('a guard document', () => {
  it('gets defaults for all that it leaves out', () => {
    expect(parseGuards('guards.yaml', JSON.stringify(guard()))).toEqual({
      guards: [
        {
          number: 1,
          guard: {
            apiVersion: 'etcd-guard.io/v1alpha1',
            kind: 'EtcdGuard',
            metadata: { name: 'etcd', namespace: 'default' },
            spec: {
              members: { port: 2379, addresses: { 'etcd-0': '10.0.0.1:2379' } },
              policy: {
                leader: 'Deny',
                handOff: ['Evictions', 'Controllers'],
                quorum: 'Enforce',
                unknown: 'Deny',
                maxRaftLag: 1000,
              },
            },
          },
        },
      ],
    });
  });

  it('may be YAML, with a byte order mark, comments, aliases and a status', () => {
    const text = `\uFEFF# the production cluster
apiVersion: etcd-guard.io/v1alpha1
kind: EtcdGuard
metadata: {name: etcd, namespace: prod, labels: {team: a}, annotations: {}}
spec:
  selector:
    matchLabels: &labels {app: etcd}
    matchExpressions: [{key: tier, operator: In, values: [a, b]}, {key: x, operator: Exists}]
  members:
    addresses: {etcd-0: etcd-0.etcd:12379}
  policy: {leader: HandOff, handOff: ["group:ops", alice], unknown: Allow}
status: {anything: true}
`;
    const parsed = parseGuards('guards.yaml', text.replaceAll('\n', '\r\n'));
    expect(parsed.problems).toBeUndefined();
    expect(parsed.guards?.[0]?.guard).toMatchObject({
      metadata: { namespace: 'prod' },
      spec: { policy: { leader: 'HandOff', handOff: ['group:ops', 'alice'], quorum: 'Enforce' } },
    });
  });

  it('is one of several, numbered as they stand in the file, empty ones included', () => {
    const text = `---\n# nothing here\n---\n${named('a')}\n---\n${named('b')}\n`;
    const found = parseGuards('guards.yaml', text).guards ?? [];
    expect(found.map((one) => [one.number, one.guard.metadata.name])).toEqual([
      [2, 'a'],
      [3, 'b'],
    ]);
  });
});

describe('a document that would not do what it seems to', () => {
  it.each(['Eviction', 'evictions', 'EVICTIONS', 'Controller', 'controllers'])(
    'names %s in handOff',
    (caller) => {
      const [problem] = problemsOf(guard({ policy: { handOff: [caller] } }));
      expect(problem).toBe(
        `spec.policy.handOff[0]: is no user: the words are Evictions and Controllers (found "${caller}")`,
      );
    },
  );

  it.each(['Evictions', 'Controllers', 'system:controller', 'group:controllers', 'kate'])(
    'does not because of %s there',
    (caller) => {
      expect(problemsOf(guard({ policy: { handOff: [caller] } }))).toEqual([]);
    },
  );

  it('selects nothing', () => {
    const twice = [{ key: 'app', operator: 'In', values: ['web'] }];
    const selector = { matchLabels: { app: 'etcd' }, matchExpressions: twice };
    expect(problemsOf(guard({ selector }))).toEqual([
      'spec.selector: no pod can meet all that it asks of the label app',
    ]);
  });
});

describe('a problem', () => {
  it('names file and document, and the good documents beside it do not hide it', () => {
    const text = `${JSON.stringify(guard())}\n---\n${JSON.stringify({ ...guard(), kind: 'Pod' })}`;
    expect(parseGuards('guards.yaml', text).problems?.map(problemText)).toEqual([
      'guards.yaml: document 2: kind: must be EtcdGuard (found "Pod")',
    ]);
  });

  it('stands beside all others of its file', () => {
    expect(
      problemsOf({
        apiVersion: 'v1',
        kind: 'EtcdGuard',
        metadata: { name: 5, namespace: 'A_b' },
        spec: {
          member: {},
          selector: {
            matchLabels: { a: 1 },
            matchExpressions: [
              { key: '', operator: 'In' },
              { key: 'a', operator: 'Exists', values: ['x'] },
              { key: 'b', operator: 'Like' },
            ],
          },
          members: { port: 70_000, addresses: { Etcd_0: 'h', 'etcd-1': 5, 'etcd-2': '[::1' } },
          policy: { leader: 'No', handOff: 'Evictions', quorum: 1, unknown: null, maxRaftLag: 0 },
        },
      }),
    ).toEqual([
      'apiVersion: must be etcd-guard.io/v1alpha1 (found "v1")',
      'metadata.name: must be string (found 5)',
      'metadata.namespace: must be a DNS label: lower-case letters, digits and - (found "A_b")',
      'spec.selector.matchLabels.a: must be string (found 1)',
      'spec.selector.matchExpressions[0].key: must not be empty (found "")',
      'spec.selector.matchExpressions[0].values: must not be empty for In',
      'spec.selector.matchExpressions[1].values: must be empty for Exists',
      'spec.selector.matchExpressions[2].operator: must be In or NotIn or Exists or DoesNotExist (found "Like")',
      'spec.members.port: must be at most 65535 (found 70000)',
      'spec.members.addresses.Etcd_0: the key must be a DNS subdomain: lower-case letters, digits, - and .',
      'spec.members.addresses.etcd-1: must be string (found 5)',
      'spec.members.addresses.etcd-2: must be host:port or host, IPv6 in brackets (found "[::1")',
      'spec.policy.leader: must be Deny or HandOff (found "No")',
      'spec.policy.handOff: must be array (found "Evictions")',
      'spec.policy.quorum: must be Enforce or Warn (found 1)',
      'spec.policy.unknown: must be Deny or Allow (found null)',
      'spec.policy.maxRaftLag: must be at least 1 (found 0)',
      'spec.member: unknown field (did you mean members?)',
    ]);
  });

  it.each([
    ['nothing', {}, ['metadata: is missing (object)', 'spec: is missing (object)']],
    ['no members', { ...guard(), spec: {} }, ['spec.members: is missing (object)']],
    [
      'no addresses',
      { ...guard(), spec: { members: {} } },
      ['spec.members.addresses: is missing (object)'],
    ],
    [
      'empty addresses',
      guard({}, { addresses: {} }),
      ['spec.members.addresses: must name at least one pod'],
    ],
    [
      'fields of the cluster mode',
      guard({}, { tls: { secretName: 'a' } }),
      ['spec.members.tls.secretName: unknown field (in files: caFile, certFile, keyFile)'],
    ],
    [
      'a certificate without its key',
      guard({}, { tls: { certFile: 'a' } }),
      ['spec.members.tls: certFile and keyFile go together'],
    ],
    [
      'a user without a password',
      guard({}, { auth: { usernameFile: 'a' } }),
      ['spec.members.auth.passwordFile: is missing (string)'],
    ],
    ['port 0', guard({}, { port: 0 }), ['spec.members.port: must be at least 1 (found 0)']],
    [
      'a broken lag',
      guard({ policy: { maxRaftLag: 1.5 } }),
      ['spec.policy.maxRaftLag: must be int (found 1.5)'],
    ],
    [
      'NotIn without values',
      guard({ selector: { matchExpressions: [{ key: 'a', operator: 'NotIn', values: [] }] } }),
      ['spec.selector.matchExpressions[0].values: must not be empty for NotIn'],
    ],
  ])('is found with %s', (_, content, expected) => {
    expect(problemsOf(content).filter((one) => !/^(apiVersion|kind):/.test(one))).toEqual(expected);
  });

  it.each([
    ['a list', '- a\n- b', 'must be object'],
    ['a sentence', 'hello', 'must be object (found "hello")'],
    ['a cycle', '&a [*a]', 'must be object'],
  ])('is found with %s', (_, text, expected) => {
    expect(problemsIn(text)).toEqual([expected]);
  });

  it.each([
    ['empty', ''],
    ['only comments and separators', '# nothing\n---\n---\n'],
    ['null', 'null'],
  ])('is that the file is %s', (_, text) => {
    expect(problemsIn(text)).toEqual(['guards.yaml: has no EtcdGuard document']);
  });

  it.each([
    ['an open bracket', 'a: 1\nkind: [EtcdGuard\nmetadata: {}\n', /^line 3, column 1: Flow seq/],
    ['a repeated key', 'kind: a\nkind: b\n', /^line 2, column 1: Map keys must be unique$/],
    ['a tab', 'a:\n\tb: 1\n', /^line 2, column 1: Tabs are not allowed/],
    ['an unknown alias', 'a: *nope', /^can't be read: Unresolved alias/],
  ])('says where the syntax breaks: %s', (_, text, expected) => {
    const problems = problemsIn(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(expected);
  });

  it('is one for aliases that would fill the memory', () => {
    const levels = Array.from({ length: 12 }, (_, index) => {
      const inner = index === 0 ? 'x' : `*a${index - 1}`;
      return `a${index}: &a${index} [${Array.from({ length: 10 }, () => inner).join(', ')}]`;
    });
    expect(problemsIn(levels.join('\n'))).toEqual([
      "can't be read: Excessive alias count indicates a resource exhaustion attack",
    ]);
  });

  it('is one for nesting without end, in a few lines', () => {
    const problems = problemsIn('['.repeat(2_000));
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.length).toBeLessThanOrEqual(3);
  });

  it.each([
    ['addresses', '{"addresses": {"etcd-0": "h", "__proto__": "h"}}', '{}'],
    ['matchLabels', '{"addresses": {"etcd-0": "h"}}', '{"matchLabels": {"__proto__": "x"}}'],
  ])('is found with a __proto__ among %s, which would be lost', (name, members, selector) => {
    const content = guard({
      members: fromJson(members),
      selector: fromJson(selector),
    });
    expect(problemsOf(content)).toEqual([
      expect.stringMatching(new RegExp(`${name}\\.__proto__: is not a usable name$`)),
    ]);
  });

  it('is found with a __proto__ elsewhere, as with any unknown field', () => {
    const text = JSON.stringify(guard()).replace('"spec"', '"__proto__": {"x": 1}, "spec"');
    expect(problemsIn(text)).toEqual(['__proto__: unknown field']);
  });

  it.each([
    { auth: 'root:hunter2' },
    { auth: { username: 'root', password: 'hunter2' } },
    { auth: { usernameFile: 'root\nhunter2', passwordFile: 7 } },
    { tls: { keyFile: '-----BEGIN PRIVATE KEY-----hunter2', certFile: 'hunter2\n' } },
    { tls: ['hunter2'] },
  ])('never repeats what may be a secret: %j', (members) => {
    const problems = problemsOf(guard({}, members));
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.join('\n')).not.toMatch(/hunter2|root/);
  });
});

describe('addresses', () => {
  it('get the guard’s port where they name none, and are lower case', () => {
    const addresses = {
      a: 'Host.Example',
      b: 'host:1',
      c: '[2001:DB8::1]',
      d: '[::1]:65535',
      e: '10.0.0.1',
    };
    expect(addressesOf({ port: 12_379, addresses })).toEqual({
      a: 'host.example:12379',
      b: 'host:1',
      c: '[2001:db8::1]:12379',
      d: '[::1]:65535',
      e: '10.0.0.1:12379',
    });
  });

  it.each([
    '',
    'h:0',
    'h:65536',
    'h:',
    'h:x',
    '::1',
    '[::1',
    '[::1]:',
    '[h]:1',
    'http://h:1',
    'a b',
  ])('can’t be %j', (address) => {
    expect(problemsOf(guard({}, { addresses: { 'etcd-0': address } }))).toEqual([
      `spec.members.addresses.etcd-0: must be host:port or host, IPv6 in brackets (found ${JSON.stringify(address)})`,
    ]);
  });
});
