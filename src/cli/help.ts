const OVERVIEW = `etcd-guard keeps etcd pods from being deleted while they lead or are needed for the quorum.

Usage:
  etcd-guard serve  [--guards FILE]...        answer admission reviews
  etcd-guard status --guards FILE [NAME]      clusters as the guard sees them
  etcd-guard check  --guards FILE POD         what deleting POD would get now
  etcd-guard --version
  etcd-guard help COMMAND

FILE holds EtcdGuard documents in YAML or JSON; --guards may be given several times. Without it,
serve takes the EtcdGuards of a cluster.
`;

const TOPICS: Readonly<Record<string, string>> = {
  serve: `Usage: etcd-guard serve [--guards FILE]... [options]

Answers AdmissionReviews over HTTPS at /validate, and serves /metrics, /healthz, /readyz and a
status page over plain HTTP. Prints {"msg":"listening",...} once both are up.

  --guards FILE             EtcdGuard documents, reloaded when they change (repeatable);
                            without it the EtcdGuards of a cluster
  --kubeconfig FILE         which cluster; without it KUBECONFIG, the pod's own service account,
                            or ~/.kube/config
  --listen HOST:PORT        HTTPS (default 0.0.0.0:8443; port 0: any free one)
  --metrics-listen HOST:PORT
                            plain HTTP (default 0.0.0.0:8080)
  --tls-cert FILE           certificate and key in PEM, reloaded when they change;
  --tls-key FILE            with --guards alone, a self-signed one is made in memory otherwise
  --log-level LEVEL         debug, info, warn or error (default info)
  --shutdown-delay DURATION how long to go on serving, unready, after SIGTERM (default 5s)
  --role-labels             label members' pods etcd-guard.io/role: leader, follower or learner,
                            for policies that can't ask etcd; needs the right to patch pods

Exit codes: 0 stopped as asked, 1 could not start, 2 wrong usage or wrong guards.
`,
  status: `Usage: etcd-guard status --guards FILE [NAME] [options]

Asks etcd and prints who leads, who is healthy, and what deleting each pod would get now.

  -n, --namespace NS        (default: default)
  -A, --all-namespaces
  -o, --output FORMAT       table, json or yaml (default table)
  -w, --watch               again every second, until interrupted

Exit codes: 0, 2 wrong usage or wrong guards, 3 a guard's cluster can't be judged, 4 no such guard.
`,
  check: `Usage: etcd-guard check --guards FILE POD [options]

A dry run: judges the deletion of POD as the webhook would, and changes nothing.

  -n, --namespace NS        (default: default)
      --eviction            as kubectl drain would ask for it
  -o, --output FORMAT       text or json (default text)

Exit codes: 0 allowed, 1 denied, 2 wrong usage or wrong guards, 3 etcd can't be judged.
`,
};

/** The text of \`--help\`, for one command or for all of them. */
export function helpText(topic: string | null): string {
  if (topic !== null && Object.hasOwn(TOPICS, topic)) return TOPICS[topic] ?? OVERVIEW;
  return OVERVIEW;
}
