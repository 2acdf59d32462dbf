/** What one line, number or column of a panel shows. */
interface Query {
  readonly expr: string;
  readonly legend: string;
}

interface Panel {
  readonly title: string;
  readonly description: string;
  readonly kind: 'stat' | 'timeseries' | 'table';
  readonly unit: string;
  /** Of 24. */
  readonly width: number;
  readonly queries: readonly Query[];
  /** Value from which on it is green, red below; none: no colours. */
  readonly goodFrom?: number;
}

interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const GUARD = '{namespace=~"$namespace", guard=~"$guard"}';
const BY_GUARD = 'by (namespace, guard)';
const GUARD_NAME = '{{namespace}}/{{guard}}';

/** As in the alerts: bridges the moment in which another replica takes over the status. */
function latest(metric: string): string {
  return `max ${BY_GUARD} (last_over_time(${metric}${GUARD}[3m]))`;
}

function increase(metric: string, by: string, more = ''): string {
  const selector = `{namespace=~"$namespace", guard=~"$guard"${more}}`;
  return `sum by (${by}) (increase(${metric}${selector}[$__rate_interval]))`;
}

function quantiles(metric: string, by: string, legend: string): readonly Query[] {
  return [0.5, 0.9, 0.99].map((quantile) => ({
    expr: `histogram_quantile(${quantile}, sum by (le, ${by}) (rate(${metric}_bucket[$__rate_interval])))`,
    legend: `${legend} ${quantile * 100} %`,
  }));
}

const ROWS: readonly Row[] = [
  {
    title: 'etcd clusters',
    panels: [
      {
        title: 'Leader confirmed',
        description: '1: a quorum of voters names one leader. 0: deletions are refused.',
        kind: 'stat',
        unit: 'none',
        width: 6,
        queries: [{ expr: latest('etcdguard_cluster_has_leader'), legend: GUARD_NAME }],
        goodFrom: 1,
      },
      {
        title: 'Disruptions allowed',
        description: 'Healthy voters beyond the quorum: how many members may go now.',
        kind: 'stat',
        unit: 'none',
        width: 6,
        queries: [{ expr: latest('etcdguard_cluster_disruptions_allowed'), legend: GUARD_NAME }],
        goodFrom: 1,
      },
      {
        title: 'Voters by health',
        description: 'Unknown does not answer; unhealthy answers, but lags or names no leader.',
        kind: 'timeseries',
        unit: 'none',
        width: 12,
        queries: [
          {
            expr: `max by (namespace, guard, health) (last_over_time(etcdguard_cluster_voters${GUARD}[3m]))`,
            legend: `${GUARD_NAME} {{health}}`,
          },
        ],
      },
      {
        title: 'Leader changes',
        description: 'Each interval; changes between two looks count as one.',
        kind: 'timeseries',
        unit: 'none',
        width: 8,
        queries: [
          {
            expr: increase('etcdguard_cluster_leader_changes_total', 'namespace, guard'),
            legend: GUARD_NAME,
          },
        ],
      },
      {
        title: 'Reservations',
        description: 'Pods that were allowed to go and have not been seen to go.',
        kind: 'timeseries',
        unit: 'none',
        width: 8,
        queries: [{ expr: latest('etcdguard_reservations'), legend: GUARD_NAME }],
      },
      {
        title: 'Pods: guarded, and like etcd without a guard',
        description: 'Unguarded are those labelled as etcd that no EtcdGuard selects.',
        kind: 'timeseries',
        unit: 'none',
        width: 8,
        queries: [
          { expr: latest('etcdguard_guarded_pods'), legend: GUARD_NAME },
          {
            expr: 'max by (namespace) (last_over_time(etcdguard_unguarded_pods{namespace=~"$namespace"}[3m]))',
            legend: 'unguarded in {{namespace}}',
          },
        ],
      },
    ],
  },
  {
    title: 'Decisions',
    panels: [
      {
        title: 'Denials by reason',
        description: 'Dry runs are left out. docs/decision.md explains the reasons.',
        kind: 'timeseries',
        unit: 'none',
        width: 12,
        queries: [
          {
            expr: increase('etcdguard_denials_total', 'reason, operation'),
            legend: '{{reason}} ({{operation}})',
          },
        ],
      },
      {
        title: 'Reviews by answer',
        description: 'Deletions and evictions of guarded pods, dry runs left out.',
        kind: 'timeseries',
        unit: 'none',
        width: 12,
        queries: [
          {
            expr: increase(
              'etcdguard_admission_requests_total',
              'decision, reason',
              ', guard!="", dry_run="false"',
            ),
            legend: '{{decision}} {{reason}}',
          },
        ],
      },
      {
        title: 'Hand-offs of leadership',
        description: 'Refused: the leader could not be spared as a follower either.',
        kind: 'timeseries',
        unit: 'none',
        width: 8,
        queries: [
          {
            expr: increase('etcdguard_handoffs_total', 'namespace, guard, outcome'),
            legend: `${GUARD_NAME} {{outcome}}`,
          },
        ],
      },
      {
        title: 'Break-glass',
        description: 'Pods that were let go unchecked.',
        kind: 'timeseries',
        unit: 'none',
        width: 8,
        queries: [
          {
            expr: increase('etcdguard_break_glass_total', 'namespace, guard'),
            legend: GUARD_NAME,
          },
        ],
      },
      {
        title: 'Errors, and what was no review',
        description: 'InternalError refuses requests because etcd-guard failed itself.',
        kind: 'timeseries',
        unit: 'none',
        width: 8,
        queries: [
          {
            expr: 'sum by (reason) (increase(etcdguard_admission_requests_total{decision="error"}[$__rate_interval]))',
            legend: '{{reason}}',
          },
        ],
      },
    ],
  },
  {
    title: 'Time',
    panels: [
      {
        title: 'Reviews: time to the answer',
        description: "The API server waits as long as the webhook's timeout says, 10 s as shipped.",
        kind: 'timeseries',
        unit: 's',
        width: 12,
        queries: quantiles('etcdguard_admission_duration_seconds', 'operation', '{{operation}}'),
      },
      {
        title: 'Reviews in flight',
        description: 'Being judged at the moment of the scrape.',
        kind: 'timeseries',
        unit: 'none',
        width: 12,
        queries: [{ expr: 'etcdguard_admission_requests_in_flight', legend: '{{instance}}' }],
      },
      {
        title: 'etcd: requests a second by method and outcome',
        description: 'All clusters together.',
        kind: 'timeseries',
        unit: 'reqps',
        width: 12,
        queries: [
          {
            expr: 'sum by (method, outcome) (rate(etcdguard_etcd_request_duration_seconds_count[$__rate_interval]))',
            legend: '{{method}} {{outcome}}',
          },
        ],
      },
      {
        title: 'etcd: time of a request',
        description: 'All outcomes, so that requests without an answer show too.',
        kind: 'timeseries',
        unit: 's',
        width: 12,
        queries: quantiles('etcdguard_etcd_request_duration_seconds', 'method', '{{method}}'),
      },
    ],
  },
  {
    title: 'etcd-guard itself',
    panels: [
      {
        title: 'Replicas ready',
        description: 'Replicas that take reviews.',
        kind: 'stat',
        unit: 'none',
        width: 4,
        queries: [{ expr: 'sum(etcdguard_ready)', legend: 'ready' }],
        goodFrom: 1,
      },
      {
        title: 'Replicas that keep the status',
        description: '1; 0 means that nobody looks at the clusters.',
        kind: 'stat',
        unit: 'none',
        width: 4,
        queries: [{ expr: 'sum(etcdguard_keeps_status)', legend: 'keeps status' }],
        goodFrom: 1,
      },
      {
        title: 'Certificate expires in',
        description: 'The certificate that each replica serves.',
        kind: 'stat',
        unit: 's',
        width: 8,
        queries: [
          {
            expr: 'etcdguard_certificate_expiry_timestamp_seconds - time()',
            legend: '{{instance}}',
          },
        ],
        goodFrom: 14 * 86_400,
      },
      {
        title: 'Versions',
        description: 'Of etcd-guard and Node, and how many replicas have them.',
        kind: 'table',
        unit: 'none',
        width: 8,
        queries: [
          { expr: 'count by (version, node) (etcdguard_build_info)', legend: '{{version}}' },
        ],
      },
      {
        title: 'Memory',
        description: 'Resident, of each replica.',
        kind: 'timeseries',
        unit: 'bytes',
        width: 8,
        queries: [
          { expr: 'process_resident_memory_bytes{job="etcd-guard"}', legend: '{{instance}}' },
        ],
      },
      {
        title: 'Event loop: 99 % of timers are late by at most',
        description: 'What every review waits besides the network.',
        kind: 'timeseries',
        unit: 's',
        width: 8,
        queries: [
          { expr: 'nodejs_eventloop_lag_p99_seconds{job="etcd-guard"}', legend: '{{instance}}' },
        ],
      },
      {
        title: 'Files that could not be reloaded',
        description: 'The old version stays in force.',
        kind: 'timeseries',
        unit: 'none',
        width: 8,
        queries: [
          {
            expr: 'sum by (instance, file) (increase(etcdguard_reload_failures_total[$__rate_interval]))',
            legend: '{{instance}} {{file}}',
          },
        ],
      },
    ],
  },
];

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };
const HEIGHT = 8;

/** The dashboard as Grafana imports it. */
export function dashboard(): string {
  const json = {
    title: 'etcd-guard',
    uid: 'etcd-guard',
    description: 'etcd clusters as etcd-guard sees them, and what it decides.',
    tags: ['etcd', 'etcd-guard'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    timezone: '',
    annotations: { list: [] },
    links: [],
    templating: { list: variables() },
    panels: placed(),
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

/** Every query of the dashboard, its variables included, as Grafana would send it. */
export function queries(): readonly string[] {
  return ROWS.flatMap(({ panels }) => panels)
    .flatMap((panel) => panel.queries)
    .map(({ expr }) =>
      expr.replaceAll('$__rate_interval', '1m').replaceAll(/"\$(?:namespace|guard)"/g, '".*"'),
    );
}

function variables(): readonly unknown[] {
  return [
    {
      name: 'datasource',
      label: 'data source',
      type: 'datasource',
      query: 'prometheus',
      refresh: 1,
      current: {},
      hide: 0,
    },
    labelValues('namespace', 'label_values(etcdguard_denials_total, namespace)'),
    labelValues('guard', 'label_values(etcdguard_denials_total{namespace=~"$namespace"}, guard)'),
  ];
}

function labelValues(name: string, query: string): unknown {
  return {
    name,
    label: name,
    type: 'query',
    datasource: DATASOURCE,
    query: { query, refId: name },
    definition: query,
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { selected: true, text: ['All'], value: ['$__all'] },
    hide: 0,
  };
}

/** Rows one below the other; in a row, panels from left to right, as many as fit. */
function placed(): readonly unknown[] {
  const all: unknown[] = [];
  let y = 0;
  for (const { title, panels } of ROWS) {
    const id = (): number => all.length + 1;
    all.push({
      id: id(),
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: at(0, y, 24, 1),
    });
    y += 1;
    let x = 0;
    for (const panel of panels) {
      if (x + panel.width > 24) [x, y] = [0, y + HEIGHT];
      all.push({ id: id(), ...grafanaPanel(panel), gridPos: at(x, y, panel.width, HEIGHT) });
      x += panel.width;
    }
    y += HEIGHT;
  }
  return all;
}

function at(x: number, y: number, w: number, h: number): unknown {
  return { x, y, w, h };
}

function grafanaPanel({ title, description, kind, unit, queries: asked, goodFrom }: Panel) {
  const good = [
    { color: 'red', value: null },
    { color: 'green', value: goodFrom },
  ];
  return {
    type: kind,
    title,
    description,
    datasource: DATASOURCE,
    fieldConfig: {
      defaults: {
        unit,
        ...(goodFrom === undefined
          ? {}
          : { color: { mode: 'thresholds' }, thresholds: { mode: 'absolute', steps: good } }),
        ...(kind === 'timeseries' && { min: 0 }),
      },
      overrides: [],
    },
    options: optionsOf(kind),
    targets: asked.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
      ...(kind === 'timeseries' ? { range: true } : { instant: true, range: false }),
      ...(kind === 'table' && { format: 'table' }),
    })),
  };
}

function optionsOf(kind: Panel['kind']): unknown {
  switch (kind) {
    case 'timeseries':
      return {
        legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
        tooltip: { mode: 'multi', sort: 'desc' },
      };
    case 'stat':
      return {
        colorMode: 'background',
        graphMode: 'none',
        textMode: 'value_and_name',
        reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      };
    case 'table':
      return { showHeader: true };
  }
}
