/** What the standard variables ask for; `problems` are sentences for the log. */
export interface Wanted {
  readonly on: boolean;
  readonly sampler: string;
  readonly ratio: number;
  readonly problems: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

const SAMPLERS: ReadonlySet<string> = new Set(
  ['always_on', 'always_off', 'traceidratio'].flatMap((name) => [name, `parentbased_${name}`]),
);
const PROTOCOLS: ReadonlySet<string> = new Set(['', 'http/json', 'http/protobuf']);
const EXPORTERS: ReadonlySet<string> = new Set(['', 'otlp', 'none']);

/**
 * Off unless an endpoint or the exporter is named. As the specification has it, an empty variable is
 * none, and one that can't be used is told of and ignored.
 */
export function wantedTraces(environment: Environment): Wanted {
  const given = (name: string): string => (environment[name] ?? '').trim();
  const exporter = given('OTEL_TRACES_EXPORTER').toLowerCase();
  const endpoint =
    given('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT') || given('OTEL_EXPORTER_OTLP_ENDPOINT');
  const disabled = given('OTEL_SDK_DISABLED').toLowerCase() === 'true';
  const on = !disabled && (exporter === 'otlp' || (exporter === '' && endpoint !== ''));
  const problems = disabled ? [] : problemsIn(given, on);
  const sampler = given('OTEL_TRACES_SAMPLER').toLowerCase();
  const ratio = Number(given('OTEL_TRACES_SAMPLER_ARG') || '1');
  return {
    on,
    sampler: SAMPLERS.has(sampler) ? sampler : 'parentbased_always_on',
    ratio: ratio >= 0 && ratio <= 1 ? ratio : 1,
    problems,
  };
}

function problemsIn(given: (name: string) => string, on: boolean): readonly string[] {
  const exporter = given('OTEL_TRACES_EXPORTER');
  const odd = `OTEL_TRACES_EXPORTER can be otlp or none, not '${exporter}': no traces are kept`;
  if (!EXPORTERS.has(exporter.toLowerCase())) return [odd];
  return on ? oddSettings(given) : [];
}

const ENDPOINTS = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'];

function isHttp(text: string): boolean {
  return ['http:', 'https:'].includes(URL.parse(text)?.protocol ?? '');
}

function oddSettings(given: (name: string) => string): readonly string[] {
  const problems: string[] = [];
  const where = ENDPOINTS.find((name) => given(name) !== '');
  // Not repeated: it may hold a password.
  if (where !== undefined && !isHttp(given(where))) {
    problems.push(`${where} is no URL such as http://collector:4318: traces do not arrive there`);
  }
  const protocol =
    given('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL') || given('OTEL_EXPORTER_OTLP_PROTOCOL');
  if (!PROTOCOLS.has(protocol)) {
    problems.push(`traces are sent by HTTP, not by OTEL_EXPORTER_OTLP_PROTOCOL '${protocol}'`);
  }
  const sampler = given('OTEL_TRACES_SAMPLER');
  if (sampler !== '' && !SAMPLERS.has(sampler.toLowerCase())) {
    problems.push(`OTEL_TRACES_SAMPLER '${sampler}' is not known: every review is traced`);
  }
  const ratio = given('OTEL_TRACES_SAMPLER_ARG');
  if (ratio !== '' && !(Number(ratio) >= 0 && Number(ratio) <= 1)) {
    problems.push(`OTEL_TRACES_SAMPLER_ARG '${ratio}' is not between 0 and 1: it counts as 1`);
  }
  return problems;
}
