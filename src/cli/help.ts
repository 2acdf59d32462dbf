const OVERVIEW = `etcd-guard keeps etcd pods from being deleted while they lead or are needed for the quorum.

Usage:
  etcd-guard serve          answer admission reviews
  etcd-guard status [NAME]  clusters as the guard sees them
  etcd-guard check POD      what deleting POD would get now
  etcd-guard --version
  etcd-guard help COMMAND

Guards are the EtcdGuards of a cluster, or, with --guards FILE (repeatable), documents in files.
Installed as kubectl-etcd_guard, all of it is kubectl etcd-guard ...
`;

const WHICH_GUARDS = `  --kubeconfig FILE         which cluster; without it KUBECONFIG, ~/.kube/config, or the pod's own
                            service account
  --context NAME            instead of the kubeconfig's current one
  --guards FILE             no cluster, but the EtcdGuard documents in FILE (repeatable)
  -n, --namespace NS        (default: that of the context, or else default)`;

const TOPICS: Readonly<Record<string, string>> = {
  serve: `Usage: etcd-guard serve [--guards FILE]... [options]

Answers AdmissionReviews over HTTPS at /validate, and serves /metrics, /healthz, /readyz and a
status page over plain HTTP. Prints {"msg":"listening",...} once both are up.

  --guards FILE             EtcdGuard documents, reloaded when they change (repeatable);
                            without it the EtcdGuards of a cluster
  --kubeconfig FILE         which cluster; without it KUBECONFIG, the pod's own service account,
                            or ~/.kube/config. Run by hand, it may come to keep the guards' status in
                            place of the replicas in namespace etcd-guard, by what it sees from where
                            it runs
  --listen HOST:PORT        HTTPS (default 0.0.0.0:8443; port 0: any free one)
  --metrics-listen HOST:PORT
                            plain HTTP (default 0.0.0.0:8080)
  --tls-cert FILE           certificate and key in PEM, reloaded when they change; without them
  --tls-key FILE            etcd-guard makes its own: kept in a Secret, renewed in time, and written
                            to the caBundle of its webhooks; with --guards in memory only
  --certificate-secret NAME Secret that all replicas share (default etcd-guard-tls)
  --webhook-configuration NAME
                            ValidatingWebhookConfiguration that is to trust it (default etcd-guard)
  --service NAME            Service that the certificate is for (default etcd-guard)
  -n, --namespace NS        of that Secret and that Service (default: where the pod runs, else the
                            kubeconfig's, or else etcd-guard); guards are looked for in all
  --log-level LEVEL         debug, info, warn or error (default info)
  --shutdown-delay DURATION how long to go on serving, unready, after SIGTERM (default 5s)
  --role-labels             label members' pods etcd-guard.io/role: leader, follower or learner,
                            for policies that can't ask etcd; needs the right to patch pods

Exit codes: 0 stopped as asked, 1 could not start, 2 wrong usage or wrong guards.
`,
  status: `Usage: etcd-guard status [NAME] [options]

Asks etcd and prints who leads, who is healthy, and what deleting each pod would get now.

${WHICH_GUARDS}
  -A, --all-namespaces
  -o, --output FORMAT       table, json or yaml (default table)
  -w, --watch               again every second, until interrupted
  --via WHO                 auto: ask etcd; where no member answers from here, show what the guard
                            has recorded (default)
                            direct: ask etcd only
                            webhook: show what the guard has recorded, and ask the API server what a
                            delete of each pod would get, by a dry run, which deletes nothing

Exit codes: 0, 2 wrong usage, 3 a cluster can't be judged (or nobody can be asked), 4 no such guard.
`,
  check: `Usage: etcd-guard check POD [options]

A dry run: what deleting POD would get now. Nothing is deleted, reserved or moved.

${WHICH_GUARDS}
      --eviction            as kubectl drain would ask for it
  -o, --output FORMAT       text or json (default text)
  --via WHO                 auto: ask etcd, and decide here as the webhook would; where that can't be
                            told from here, ask the API server (default)
                            direct: ask etcd only
                            webhook: ask the API server, by a delete or an eviction with dryRun=All;
                            it passes through the webhook, and you need the right to delete POD

Exit codes: 0 allowed, 1 denied, 2 wrong usage, 3 etcd can't be judged (or nobody can be asked),
4 no such pod.
`,
};

/** The text of \`--help\`, for one command or for all of them. */
export function helpText(topic: string | null): string {
  if (topic !== null && Object.hasOwn(TOPICS, topic)) return TOPICS[topic] ?? OVERVIEW;
  return OVERVIEW;
}
