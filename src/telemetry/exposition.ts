/** The body of an answer, and its type. */
export interface Exposition {
  readonly contentType: string;
  readonly body: string;
}

/** Prometheus' own text format. */
export const TEXT = 'text/plain; version=0.0.4; charset=utf-8';
export const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

/** `text` is in Prometheus' format; it becomes OpenMetrics if `accept`, an HTTP header, likes that no less. */
export function expositionFor(accept: string, text: string): Exposition {
  return prefersOpenMetrics(accept)
    ? { contentType: OPEN_METRICS, body: openMetrics(text) }
    : { contentType: TEXT, body: text };
}

interface Range {
  readonly type: string;
  readonly version: string | undefined;
  readonly quality: number;
}

/** Only who names it gets it: `*` is what browsers and curl send. */
function prefersOpenMetrics(accept: string): boolean {
  const ranges = accept.split(',').map(rangeOf);
  const best = (wanted: (range: Range) => boolean): number =>
    Math.max(0, ...ranges.filter(wanted).map(({ quality }) => quality));
  const open = best(
    ({ type, version = '1.0.0' }) => type === 'application/openmetrics-text' && version === '1.0.0',
  );
  return open > 0 && open >= best(({ type }) => type === 'text/plain');
}

function rangeOf(text: string): Range {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const value = (name: string): string | undefined =>
    parameters.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1);
  const quality = Number(value('q') ?? 1);
  return {
    type,
    version: value('version')?.replaceAll('"', ''),
    quality: Number.isFinite(quality) ? quality : 0,
  };
}

/** prom-client's own can't be had beside the other format: it renames a registry's counters for good. */
function openMetrics(text: string): string {
  const lines: string[] = [];
  const families = text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\w+)\n((?:[^#\n].*\n)*)/gm);
  for (const [, name = '', help = '', type = '', samples = ''] of families) {
    const family = type === 'counter' ? name.replace(/_total$/, '') : name;
    const [, unit] = /_(seconds|bytes)$/.exec(family) ?? [];
    lines.push(`# HELP ${family} ${help.replaceAll('"', String.raw`\"`)}\n`);
    lines.push(`# TYPE ${family} ${type}\n`);
    if (unit !== undefined) lines.push(`# UNIT ${family} ${unit}\n`);
    lines.push(samples.replaceAll(/(le=")(\d+)(")/g, '$1$2.0$3'));
  }
  return `${lines.join('')}# EOF\n`;
}
