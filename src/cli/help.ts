const OVERVIEW = `etcd-guard keeps etcd pods from being deleted while they lead or are needed for the quorum.

Look (nothing is changed):
  etcd-guard status [NAME]   clusters as the guard sees them, and what can be spared
  etcd-guard check POD       what deleting POD would get now, with its arithmetic
  etcd-guard explain REASON  what a reason means, and what to do
  etcd-guard wait POD        until POD may be deleted, or is healthy

Act:
  etcd-guard handoff [POD]   move leadership off POD, or off whoever leads

Run:
  etcd-guard serve           answer admission reviews
  etcd-guard completion SHELL
                             completion for bash, zsh or fish
  etcd-guard --version
  etcd-guard help COMMAND    options, examples and exit codes

Guards are the EtcdGuards of a cluster, or, with --guards FILE (repeatable), documents in files.
Installed as kubectl-etcd_guard, all of it is kubectl etcd-guard ...
NO_COLOR=1 keeps colours away.
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
                            or ~/.kube/config. Run by hand, it may come to keep the guards' status
                            in place of the replicas in namespace etcd-guard, by what it sees from
                            where it runs
  --listen HOST:PORT        HTTPS (default 0.0.0.0:8443; port 0: any free one)
  --metrics-listen HOST:PORT
                            plain HTTP (default 0.0.0.0:8080)
  --status-page on|off      the page for people at / of that port (default on)
  --tls-cert FILE           certificate and key in PEM, reloaded when they change; without them
  --tls-key FILE            etcd-guard makes its own: kept in a Secret, renewed in time, and written
                            to the caBundle of its webhooks; with --guards in memory only
  --client-ca FILE          let in only callers with a client certificate of this authority (PEM,
                            reloaded when it changes): API servers that are configured to present
                            one
  --client-name NAME        and only with this common or DNS name (repeatable)
  --metrics-tls-cert FILE   HTTPS on the metrics port, reloaded when they change
  --metrics-tls-key FILE
  --metrics-token-file FILE ask for this bearer token (reloaded when it changes) for all on the
                            metrics port but /healthz and /readyz
  --certificate-secret NAME Secret that all replicas share (default etcd-guard-tls)
  --webhook-configuration NAME
                            ValidatingWebhookConfiguration that is to trust it (default etcd-guard)
  --service NAME            Service that the certificate is for (default etcd-guard)
  -n, --namespace NS        of that Secret and that Service (default: where the pod runs, else the
                            kubeconfig's, or else etcd-guard); guards are looked for in all
  --log-level LEVEL         debug, info, warn or error (default info)
  --log-format FORMAT       json or pretty (default: pretty on a terminal, else json)
  --shutdown-delay DURATION how long to go on serving, unready, after SIGTERM (default 5s)
  --exclusive-locks         answer for ExclusiveLocks at /lock as well; in a cluster only, and
                            turned on by deploy/webhook/components/exclusive-locks
  --role-labels             label members' pods etcd-guard.io/role: leader, follower or learner,
                            for policies that can't ask etcd; needs the right to patch pods
  --injection               give new pods what their guard's spec.inject names, at /mutate, and keep
                            their readiness gates; needs the component injection (docs/injection.md)

Examples:
  # Guards from a file, on any free ports of this machine; makes itself a certificate
  etcd-guard serve --guards guards.yaml --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0

  # The guards of the cluster that the kubeconfig names
  etcd-guard serve --kubeconfig ~/.kube/config --tls-cert tls.crt --tls-key tls.key

Exit codes: 0 stopped as asked, 1 could not start, 2 wrong usage or wrong guards.
`,
  status: `Usage: etcd-guard status [NAME] [options]

Asks etcd and prints who leads, who is healthy, and what deleting each pod would get now. Without
NAME the ExclusiveLocks there follow, if there are any.

${WHICH_GUARDS}
  -A, --all-namespaces      guards of all namespaces
  -o, --output FORMAT       table, json, yaml or name (default table)
  -w, --watch               again every second, until interrupted. On a terminal the table is drawn
                            in place, and a new leader is pointed out; elsewhere it is printed once,
                            and then a line for each change (json and yaml: a document, one a second
                            at most)
  --via WHO                 auto: ask etcd; where no member answers from here, show what the guard
                            has recorded (default)
                            direct: ask etcd only
                            webhook: show what the guard has recorded, and ask the API server what a
                            delete of each pod would get, by a dry run, which deletes nothing

Examples:
  # All clusters, redrawn every second
  etcd-guard status -A --watch

  # Who leads?
  etcd-guard status etcd -n shop -o json | jq -r '.items[].status.leader'

Exit codes: 0, 2 wrong usage, 3 a cluster can't be judged (or nobody can be asked), 4 no such guard;
--watch ends with 130 by Ctrl-C, 143 by SIGTERM.
`,
  check: `Usage: etcd-guard check POD [options]

A dry run: what deleting POD would get now. Nothing is deleted, reserved or moved. Below the verdict
stands what it was reckoned from, where etcd was asked from here.

${WHICH_GUARDS}
      --eviction            as kubectl drain would ask for it
  -o, --output FORMAT       text, json or yaml (default text)
  --via WHO                 auto: ask etcd, and decide here as the webhook would; where that can't
                            be told from here, ask the API server (default)
                            direct: ask etcd only
                            webhook: ask the API server, by a delete or an eviction with dryRun=All;
                            it passes through the webhook, and you need the right to delete POD

Examples:
  etcd-guard check etcd-0
  etcd-guard check etcd-0 --eviction -n shop
  etcd-guard check etcd-0 && kubectl delete pod etcd-0

Exit codes: 0 allowed, 1 denied, 2 wrong usage, 3 etcd can't be judged (or nobody can be asked, or
the API server asks no guard about that namespace), 4 no such pod.
`,
  wait: `Usage: etcd-guard wait POD --for=CONDITION [options]

Waits until something holds for POD. What is missing stands on stderr, whenever that changes. A pod
that is not there yet is waited for, and so is an API server that does not answer.

${WHICH_GUARDS}
  --for CONDITION           deletable: a delete would be allowed, and etcd could be judged
                            healthy: its member is a healthy voter, by what etcd answers from here
  --timeout DURATION        (default 30s; 0 looks once)
  --via WHO                 auto (default), direct or webhook, as for check; only for deletable

Examples:
  # One pod after another
  for pod in etcd-0 etcd-1 etcd-2; do
    etcd-guard wait $pod --for=deletable --timeout=5m && kubectl delete pod $pod &&
      etcd-guard wait $pod --for=healthy --timeout=5m || break
  done

Exit codes: 0 it holds, 1 not in time, 2 wrong usage, 130 by Ctrl-C.
`,
  handoff: `Usage: etcd-guard handoff [POD] [options]

Moves leadership off POD, or off whoever leads, to the follower that the guard itself would choose:
healthy, not about to go, rather on a node that is not cordoned, then least behind. Meanwhile
neither of the two may be deleted. Ends once a quorum of voters names the new leader. If POD does
not lead, there is nothing to do.

Refused while it can't be told who leads, nobody is fit to lead instead, or another hand-off is
under way. etcd has to be reachable from here; where it is not, this says what to run instead. In a
cluster it needs the right to update etcdguards/status, for the ledger.

${WHICH_GUARDS}
  --guard NAME              which EtcdGuard, where the namespace has several
  --to POD                  instead of whom the guard would choose
  -y, --yes                 do not ask; needed where nobody sits at a terminal
  --dry-run                 say what would be moved where
  --timeout DURATION        of the move and its confirmation (default 10s, at most 30s)

Examples:
  etcd-guard handoff etcd-2 && kubectl delete pod etcd-2
  etcd-guard handoff --guard etcd --to etcd-0 --yes

Exit codes: 0 moved, or nothing to do, 1 refused or failed, 2 wrong usage, 3 it can't be told who
leads, 4 no such guard or pod, 130 by Ctrl-C.
`,
  explain: `Usage: etcd-guard explain [REASON]

What REASON means, which answers, Events, conditions, metrics and logs give, and what to do about
it. Without one: all that there are. Capital letters do not matter.

Examples:
  etcd-guard explain QuorumAtRisk

Exit codes: 0, 2 no such reason.
`,
  completion: `Usage: etcd-guard completion bash|zsh|fish

Prints a script that completes commands, options and their values, and the names of guards and pods,
which are looked up where the options before them say.

Examples:
  # bash, for this shell; for all, in ~/.bashrc
  source <(etcd-guard completion bash)

  # zsh: for this shell; for all, in ~/.zshrc behind compinit
  source <(etcd-guard completion zsh)

  # fish, for all
  etcd-guard completion fish > ~/.config/fish/completions/etcd-guard.fish

  # kubectl 1.26 and newer: an executable file kubectl_complete-etcd_guard in the PATH
  printf '#!/bin/sh\\nexec kubectl etcd-guard __complete "$@"\\n'

Exit codes: 0, 2 wrong usage.
`,
};

/** The text of `--help`, for one command or for all of them. */
export function helpText(topic: string | null): string {
  if (topic !== null && Object.hasOwn(TOPICS, topic)) return TOPICS[topic] ?? OVERVIEW;
  return OVERVIEW;
}
