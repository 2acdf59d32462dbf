import { array, assert, constantFrom, oneof, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commandShapes, parseConfig, SHELLS, type Config } from '../src/config.ts';

const CLUSTER = { kind: 'cluster', kubeconfig: null, context: null };
const ASKED = { guards: CLUSTER, namespace: null, via: 'auto' };
const KNOWN = 'the commands are serve, status, check, wait, handoff, explain, completion';

/** Of each command, what has to be there. */
const LEAST = {
  serve: 'serve',
  status: 'status',
  check: 'check etcd-0',
  wait: 'wait etcd-0 --for=healthy',
  handoff: 'handoff',
  explain: 'explain',
  completion: 'completion bash',
};

/** All options of all commands, and a command line to put each behind. */
const OPTIONS = commandShapes().flatMap(({ name, options }) => {
  const least =
    Object.entries(LEAST)
      .find(([command]) => command === name)?.[1]
      .split(' ') ?? [];
  return options.map((option) => ({ line: `${name} --${option.name}`, least, ...option }));
});

function read(line: string): Config {
  return parseConfig(line.split(' ').filter((word) => word !== ''));
}

function problemsOf(args: readonly string[]): readonly string[] {
  const config = parseConfig(args);
  return config.command === 'invalid' ? config.problems : [];
}

describe('a command by itself', () => {
  it.each<[string, object]>([
    [
      LEAST.serve,
      {
        command: 'serve',
        guards: CLUSTER,
        listen: { host: '0.0.0.0', port: 8443 },
        metricsListen: { host: '0.0.0.0', port: 8080 },
        tls: null,
        clients: null,
        metricsTls: null,
        metricsTokenFile: null,
        certificate: {
          secret: 'etcd-guard-tls',
          service: 'etcd-guard',
          configuration: 'etcd-guard',
          namespace: null,
        },
        logLevel: 'info',
        logFormat: null,
        shutdownDelayMs: 5_000,
        roleLabels: false,
        statusPage: true,
        capabilities: [],
      },
    ],
    [
      LEAST.status,
      {
        command: 'status',
        ...ASKED,
        name: null,
        allNamespaces: false,
        output: 'table',
        watch: false,
      },
    ],
    [LEAST.check, { command: 'check', ...ASKED, pod: 'etcd-0', eviction: false, output: 'text' }],
    [
      LEAST.wait,
      { command: 'wait', ...ASKED, pod: 'etcd-0', condition: 'healthy', timeoutMs: 30_000 },
    ],
    [
      LEAST.handoff,
      {
        command: 'handoff',
        guards: CLUSTER,
        pod: null,
        guard: null,
        to: null,
        namespace: null,
        yes: false,
        dryRun: false,
        timeoutMs: 10_000,
      },
    ],
    [LEAST.explain, { command: 'explain', reason: null }],
    [LEAST.completion, { command: 'completion', shell: 'bash' }],
    ['', { command: 'help', topic: null }],
    ['--version', { command: 'version' }],
    ['version', { command: 'version' }],
    ['__complete', { command: '__complete', words: [] }],
    ['__complete status --via=', { command: '__complete', words: ['status', '--via='] }],
  ])('etcd-guard %s', (line, expected) => {
    expect(read(line)).toStrictEqual(expected);
  });
});

describe('an option', () => {
  it.each<[string, object]>([
    ['serve --guards=a --guards b', { guards: { kind: 'files', files: ['a', 'b'] } }],
    ['serve --kubeconfig=k', { guards: { ...CLUSTER, kubeconfig: 'k' } }],
    ['serve --listen=:8443', { listen: { host: null, port: 8443 } }],
    ['serve --listen=127.0.0.1:0', { listen: { host: '127.0.0.1', port: 0 } }],
    ['serve --metrics-listen=[::1]:80', { metricsListen: { host: '::1', port: 80 } }],
    ['serve --tls-cert=c --tls-key=k', { tls: { certFile: 'c', keyFile: 'k' }, metricsTls: null }],
    [
      'serve --metrics-tls-cert=c --metrics-tls-key=k',
      { tls: null, metricsTls: { certFile: 'c', keyFile: 'k' } },
    ],
    ['serve --metrics-token-file=t', { metricsTokenFile: 't' }],
    ['serve --client-ca=c', { clients: { caFile: 'c', names: [] } }],
    [
      'serve --client-ca=c --client-name=a --client-name=b',
      { clients: { caFile: 'c', names: ['a', 'b'] } },
    ],
    [
      'serve --certificate-secret=a --service=b --webhook-configuration=c -n d',
      { certificate: { secret: 'a', service: 'b', configuration: 'c', namespace: 'd' } },
    ],
    ['serve --log-level=debug --log-format=json', { logLevel: 'debug', logFormat: 'json' }],
    ['serve --role-labels', { roleLabels: true, capabilities: [] }],
    ['serve --injection --exclusive-locks', { capabilities: ['exclusive-locks', 'injection'] }],
    ['serve --injection', { capabilities: ['injection'] }],
    ['serve --status-page=off', { statusPage: false }],
    ['serve --status-page=on', { statusPage: true }],
    ['serve --log-level=warn --log-level=error', { logLevel: 'error' }],
    ['status etcd --namespace shop', { name: 'etcd', namespace: 'shop', allNamespaces: false }],
    [
      'status --kubeconfig=k --context=c',
      { guards: { ...CLUSTER, kubeconfig: 'k', context: 'c' } },
    ],
    ['status -Aw -o json', { allNamespaces: true, watch: true, output: 'json' }],
    ['status -nshop -oyaml', { namespace: 'shop', output: 'yaml' }],
    ['status -n=shop -o=name', { namespace: 'shop', output: 'name' }],
    ['status --all-namespaces --watch', { allNamespaces: true, watch: true }],
    ['status --via=webhook', { via: 'webhook' }],
    ['status -- --watch', { name: '--watch', watch: false }],
    ['status --context=--watch', { guards: { ...CLUSTER, context: '--watch' }, watch: false }],
    ['status --context -x', { guards: { ...CLUSTER, context: '-x' } }],
    ['check --eviction etcd-0 -o yaml', { pod: 'etcd-0', eviction: true, output: 'yaml' }],
    ['check etcd-0 --via=direct -n shop', { via: 'direct', namespace: 'shop' }],
    ['check etcd-0 --guards=a', { guards: { kind: 'files', files: ['a'] } }],
    ['wait etcd-0 --for deletable --via=direct', { condition: 'deletable', via: 'direct' }],
    ['wait etcd-0 --for=healthy -n shop --timeout=5m', { namespace: 'shop', timeoutMs: 300_000 }],
    [
      'handoff etcd-0 --to=etcd-1 --guard=etcd -n shop',
      { pod: 'etcd-0', to: 'etcd-1', guard: 'etcd', namespace: 'shop' },
    ],
    ['handoff -y --dry-run --timeout=30s', { yes: true, dryRun: true, timeoutMs: 30_000 }],
    ['explain Spared', { reason: 'Spared' }],
    ['completion fish', { shell: 'fish' }],
  ])('is read: %s', (line, expected) => {
    expect(read(line)).toMatchObject(expected);
  });

  it.each<[string, number]>([
    ['0', 0],
    ['0s', 0],
    ['0m', 0],
    ['5s', 5_000],
    ['1m30s', 90_000],
    ['1h', 3_600_000],
    ['596h', 2_145_600_000],
  ])('may last %s', (value, ms) => {
    expect(read(`serve --shutdown-delay=${value}`)).toMatchObject({ shutdownDelayMs: ms });
    expect(read(`wait etcd-0 --for=healthy --timeout=${value}`)).toMatchObject({ timeoutMs: ms });
  });
});

describe('help', () => {
  it.each<[string, string | null]>([
    ['--help', null],
    ['-h', null],
    ['help', null],
    ['help --help', null],
    ['help -h', null],
    ['help wait', 'wait'],
    ['check --help', 'check'],
    ['serve --frobnicate word --listen=nowhere -h', 'serve'],
    ['serve --guards --help', 'serve'],
    ['status -n -h', 'status'],
    ['status -Ah', 'status'],
    ['wait --help=please', 'wait'],
  ])('etcd-guard %s', (line, topic) => {
    expect(read(line)).toStrictEqual({ command: 'help', topic });
  });

  it('is no option behind --', () => {
    expect(read('status -- --help')).toMatchObject({ command: 'status', name: '--help' });
  });
});

describe('what is wrong', () => {
  it('is told all at once', () => {
    const wrong =
      'handoff a_b c --to=pod/etcd-1 --frob --yes=1 --timeout=31s --guards=g --context=c -n N_';
    expect(read(wrong)).toStrictEqual({
      command: 'invalid',
      topic: 'handoff',
      problems: [
        "unknown option '--frob'",
        '--yes takes no value',
        "unexpected argument 'c'",
        "'a_b' is not the name of a pod: it takes lower-case letters, digits, - and .",
        "'pod/etcd-1' is not the name of a pod: write etcd-1, not pod/etcd-1",
        '--timeout of a hand-off can be at most 30s: by then the guard would make it anew',
        '--guards and --context exclude each other',
        "'N_' is not the name of a namespace",
      ],
    });
  });

  it.each<[string, ...string[]]>([
    ['serve word', "unexpected argument 'word'"],
    ['status a b c', "unexpected argument 'b'"],
    ['check', 'the name of a pod is missing'],
    ['check etcd-0 --namespace=', '--namespace needs a value'],
    ['check etcd-0 -n=', '-n needs a value'],
    ['check etcd-0 -n', '-n needs a value'],
    ['check etcd-0 -n --', '-n needs a value'],
    ['check -n -- etcd-0', '-n needs a value'],
    ['status --context -- --help', '--context needs a value'],
    ['status --namespace=--', "'--' is not the name of a namespace"],
    ['status -n -A', '-n needs a value'],
    ['status --context -Aw', '--context needs a value'],
    ['serve --metrics-token-file -nfoo', '--metrics-token-file needs a value'],
    [
      'status -n --via=phone',
      '-n needs a value',
      "--via must be one of auto, direct, webhook (found 'phone')",
    ],
    [
      'status -n -o -o=xml',
      '-n needs a value',
      '-o needs a value: table, json, yaml, name',
      "--output must be one of table, json, yaml, name (found 'xml')",
    ],
    ['serve --tls-cert --tls-key k', '--tls-cert needs a value'],
    ['serve --client-name n --client-ca', '--client-ca needs a value'],
    ['wait --for --timeout=5m etcd-0', '--for needs a value: deletable, healthy'],
    [
      'wait --for --timeout',
      '--for needs a value: deletable, healthy',
      '--timeout needs a value',
      'the name of a pod is missing',
    ],
    [
      'wait etcd-0 --for=gone --timeout=soon',
      "--for must be one of deletable, healthy (found 'gone')",
      "--timeout must be a duration such as 5s (found 'soon')",
    ],
    ['status -w=true', '-w takes no value'],
    ['status -w=', '-w takes no value'],
    ['status -Aw=false --via=direct', '-w takes no value'],
    ['status -x=true', "unknown option '-x'"],
    ['status -wx=yes', "unknown option '-x'"],
    ['status -=x', "unknown option '-='"],
    ['check etcd-0 -w=n word', "unknown option '-w'", "unexpected argument 'word'"],
    ['check -w=n etcd-0', "unknown option '-w'"],
    ['serve --guards=', '--guards needs a value'],
    ['serve --role-labels=yes', '--role-labels takes no value'],
    ['status --no-watch', "unknown option '--no-watch'"],
    ['status -x', "unknown option '-x'"],
    ['serve --tls-cert=c', '--tls-cert and --tls-key go together'],
    ['serve --metrics-tls-key=k', '--metrics-tls-cert and --metrics-tls-key go together'],
    ['serve --client-name=n', '--client-name needs --client-ca'],
    ['serve --guards=g --kubeconfig=k', '--guards and --kubeconfig exclude each other'],
    ['serve --guards=g --role-labels', '--guards and --role-labels exclude each other'],
    ['serve --guards=g --exclusive-locks', '--guards and --exclusive-locks exclude each other'],
    ['serve --guards=g --injection', '--guards and --injection exclude each other'],
    ['serve --context=c', "unknown option '--context'"],
    ['serve --listen=8443', "--listen must be HOST:PORT (found '8443')"],
    ['serve --metrics-listen=a:65536', "--metrics-listen must be HOST:PORT (found 'a:65536')"],
    ['serve --service=a/b', "--service must be the name of an object (found 'a/b')"],
    ['serve --shutdown-delay=-5s', "--shutdown-delay must be a duration such as 5s (found '-5s')"],
    ['serve --shutdown-delay 5', "--shutdown-delay must be a duration such as 5s (found '5')"],
    ['serve --shutdown-delay=597h', "--shutdown-delay can be at most 596h (found '597h')"],
    ['status -A -n shop', '--namespace and --all-namespaces exclude each other'],
    ['status -n ..', "'..' is not the name of a namespace"],
    ['status --guards=g --via=auto', '--guards and --via exclude each other'],
    ['check etcd-0 --guards=g --via=auto', '--guards and --via exclude each other'],
    ['check etcd-0 -n Shop', "'Shop' is not the name of a namespace"],
    ['check pods/etcd-0', "'pods/etcd-0' is not the name of a pod: write etcd-0, not pods/etcd-0"],
    ['check shop/etcd-0', "'shop/etcd-0' is not the name of a pod: write etcd-0 -n shop"],
    [
      'check shop/etcd/0',
      "'shop/etcd/0' is not the name of a pod: it takes lower-case letters, digits, - and .",
    ],
    ['status shop/etcd', "'shop/etcd' is not the name of an EtcdGuard: write etcd -n shop"],
    [
      'status etcdguard.etcd-guard.io/etcd',
      "'etcdguard.etcd-guard.io/etcd' is not the name of an EtcdGuard: write etcd, not etcdguard.etcd-guard.io/etcd",
    ],
    [
      'handoff --guard eg/etcd',
      "'eg/etcd' is not the name of an EtcdGuard: write etcd, not eg/etcd",
    ],
    [
      'handoff --guard /etcd',
      "'/etcd' is not the name of an EtcdGuard: it takes lower-case letters, digits, - and .",
    ],
    ['wait etcd-0', '--for is missing: deletable or healthy'],
    ['wait etcd-0 --for=gone', "--for must be one of deletable, healthy (found 'gone')"],
    ['handoff etcd-0 --to=etcd-0', "leadership can't be moved from etcd-0 to itself"],
    [
      'handoff --timeout=597h',
      '--timeout of a hand-off can be at most 30s: by then the guard would make it anew',
    ],
    ['completion', 'the name of a shell is missing: bash, zsh or fish'],
    ['completion __proto__', "no completion for '__proto__'; the shells are bash, zsh, fish"],
    ['restart', `unknown command 'restart'; ${KNOWN}`],
    ['help restart', `no help on 'restart'; ${KNOWN}`],
    ['help constructor', `no help on 'constructor'; ${KNOWN}`],
    ['__proto__', `unknown command '__proto__'; ${KNOWN}`],
    ['constructor', `unknown command 'constructor'; ${KNOWN}`],
    ['--__proto__=x', `'--__proto__=x' stands before the command; options go behind it; ${KNOWN}`],
    ['-n shop status', `'-n' stands before the command; options go behind it; ${KNOWN}`],
    ['--guards=g', `'--guards=g' stands before the command; options go behind it; ${KNOWN}`],
    ['status --__proto__=x', "unknown option '--__proto__'"],
    [
      'status --__proto__ --constructor',
      "unknown option '--__proto__'",
      "unknown option '--constructor'",
    ],
  ])('%s', (line, ...problems) => {
    expect(problemsOf(line.split(' '))).toStrictEqual(problems);
  });

  it.each<[string, string]>([
    ['completion', "no completion for ''; the shells are bash, zsh, fish"],
    ['check', "'' is not the name of a pod: it takes lower-case letters, digits, - and ."],
    ['status', "'' is not the name of an EtcdGuard: it takes lower-case letters, digits, - and ."],
  ])('%s of a variable that is not set', (command, problem) => {
    expect(problemsOf([command, ''])).toStrictEqual([problem]);
  });

  it('is never thrown', () => {
    const odd = '- -- = -= --= __proto__ --__proto__= -nA -An -w= -o=json'.split(' ');
    const options = OPTIONS.flatMap(({ name }) => [`--${name}`, `--${name}=`]);
    const word = oneof(constantFrom(...odd), constantFrom(...options), string());
    assert(
      property(constantFrom(...Object.keys(LEAST)), array(word), (name, words) => {
        const { command } = parseConfig([name, ...words]);
        const wrong = problemsOf([name, ...words]).length > 0;
        expect(wrong ? ['invalid'] : [name, 'help']).toContain(command);
      }),
    );
  });
});

describe('what completion offers is what is read', () => {
  it('knows each command, its word and the shells', () => {
    expect(commandShapes().map(({ name }) => name)).toStrictEqual(Object.keys(LEAST));
    for (const { name, word } of commandShapes()) {
      expect(problemsOf([name, 'bash']).includes("unexpected argument 'bash'")).toBe(word === null);
    }
    for (const shell of SHELLS) expect(problemsOf(['completion', shell])).toEqual([]);
  });

  it.each(OPTIONS)('$line', ({ least, name, short, takesValue, values }) => {
    const wrong = `--${name} must be one of ${values.join(', ')} (found 'frob')`;
    for (const option of [`--${name}`, ...(short === null ? [] : [`-${short}`])]) {
      const bare = problemsOf([...least, option]);
      const which = values.length === 0 ? '' : `: ${values.join(', ')}`;
      expect(bare).toEqual(takesValue ? [`${option} needs a value${which}`] : []);
      const other = problemsOf([...least, option, 'frob']);
      expect(other).not.toContain(`unknown option '${option}'`);
      expect(other.includes(wrong)).toBe(values.length > 0);
      for (const value of values) expect(problemsOf([...least, option, value])).toEqual([]);
    }
  });
});
