# shellcheck shell=bash
# The story of deploy/webhook and deploy/etcd on a cluster that there is: install both, see a
# refusal and what goes through, look at the counters. Every step prints its kubectl commands, checks
# what it claims, and ends the shell with exit code 1 if it did not come out so. Sourced; the caller sets
#
#   root       the repository
#   kubectl    an array: the program and the arguments that choose the cluster
#
# and may set story_namespace, story_guard, story_statefulset (each etcd) and story_timeout (300 s),
# how long one wait may take. Nothing here knows what kind of cluster it is.

: "${root:?}" "${kubectl:?}"
: "${story_namespace:=etcd}" "${story_guard:=etcd}" "${story_statefulset:=etcd}" "${story_timeout:=300}"

story_step=0

story_say() { printf '# %s\n' "$*"; }

story_heading() {
  story_step=$((story_step + 1))
  printf '\n%d. %s\n' "$story_step" "$*"
}

# story_fail TEXT: what did not come out as announced, how things stand, and the end.
story_fail() {
  {
    printf '%s: %s\n' "${0##*/}" "$*"
    story_ask get pods -n etcd-guard -o wide
    story_ask get pods,etcdguards -n "$story_namespace" -o wide
    story_ask get events -n "$story_namespace" --sort-by=.lastTimestamp | tail -n 15
  } >&2 2>&1 || true
  exit 1
}

story_ask() { "${kubectl[@]}" "$@"; }

# story_show ARGUMENT...: a kubectl command as a person would type it. Sets story_output and story_code.
story_show() {
  printf '$ kubectl %s\n' "$*"
  story_code=0
  story_output="$(story_ask "$@" 2>&1)" || story_code=$?
  if [ -n "$story_output" ]; then printf '%s\n' "$story_output"; fi
}

story_succeeds() {
  story_show "$@"
  [ "$story_code" -eq 0 ] || story_fail "kubectl $1 failed with exit code $story_code"
}

# story_until WHAT COMMAND...: until the command succeeds. It may say in story_progress how far it is.
story_until() {
  local what="$1" deadline=$((SECONDS + story_timeout)) said=''
  shift
  story_progress=''
  until "$@"; do
    if [ "$story_progress" != "$said" ]; then
      story_say "waiting for $what: $story_progress"
      said="$story_progress"
    fi
    [ "$SECONDS" -lt "$deadline" ] || story_fail "waited $story_timeout s for $what: $story_progress"
    sleep 1
  done
}

# --- how things stand ------------------------------------------------------------

# story_server_minor: 20 of a server 1.20.
story_server_minor() { story_ask version -o json | sed -n '/serverVersion/,$s/.*"minor": "\([0-9]*\).*/\1/p'; }

# story_folder webhook|etcd: which folder suits this server, relative to the repository.
story_folder() {
  local minor oldest=25
  minor="$(story_server_minor)"
  [ "$1" = webhook ] || oldest=21
  if [ "${minor:-$oldest}" -ge "$oldest" ]; then
    printf 'deploy/%s\n' "$1"
  else
    printf 'deploy/overlays/%s/legacy\n' "$1"
  fi
}

# story_pods NAMESPACE APP: each pod with why it waits, or whether it is ready, in one line.
story_pods() {
  story_ask get pods -n "$1" -l "app.kubernetes.io/name=$2" -o 'jsonpath={range .items[*]}{.metadata.name}{"|"}{.status.containerStatuses[*].state.waiting.reason}{"|"}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' |
    awk -F'|' '{
      state = $2
      if (state == "") state = $3 == "True" ? "ready" : "not ready"
      printf "%s%s %s", (NR == 1 ? "" : ", "), $1, state
    }'
}

story_leader() { story_ask get etcdguard "$story_guard" -n "$story_namespace" -o 'jsonpath={.status.leader}'; }

# story_followers: pod names in one line.
story_followers() {
  story_ask get etcdguard "$story_guard" -n "$story_namespace" -o 'jsonpath={.status.members[?(@.role=="Follower")].pod}'
}

# story_uid POD: empty if there is none.
story_uid() {
  story_ask get pod "$1" -n "$story_namespace" --ignore-not-found -o 'jsonpath={.metadata.uid}'
}

story_uids() {
  story_ask get pods -n "$story_namespace" -l app.kubernetes.io/name=etcd \
    -o 'jsonpath={range .items[*]}{.metadata.uid}{"\n"}{end}' | sort
}

# The Deployment's new pods serve, its old ones are gone, and API servers have been told whom to trust.
story_guard_is_ready() {
  local generation observed wanted updated available all bundle
  IFS='|' read -r generation observed wanted updated available all < <(
    story_ask get deployment etcd-guard -n etcd-guard -o 'jsonpath={.metadata.generation}|{.status.observedGeneration}|{.spec.replicas}|{.status.updatedReplicas}|{.status.availableReplicas}|{.status.replicas}{"\n"}'
  ) || return 1
  story_progress="$(story_pods etcd-guard etcd-guard)"
  [ "$generation" = "$observed" ] && [ "$wanted" = "$updated" ] && [ "$wanted" = "$available" ] &&
    [ "$wanted" = "$all" ] || return 1
  bundle="$(story_ask get validatingwebhookconfiguration etcd-guard -o 'jsonpath={.webhooks[0].clientConfig.caBundle}')"
  story_progress='the caBundle is not written yet'
  [ -n "$bundle" ]
}

# All pods are ready and of one revision, and the guard sees as many healthy voters, one of them leading.
story_etcd_is_steady() {
  local wanted ready current update leader healthy voters allowed
  IFS='|' read -r wanted ready current update < <(
    story_ask get statefulset "$story_statefulset" -n "$story_namespace" -o 'jsonpath={.spec.replicas}|{.status.readyReplicas}|{.status.currentRevision}|{.status.updateRevision}{"\n"}'
  ) || return 1
  story_progress="$(story_pods "$story_namespace" etcd)"
  [ "$wanted" = "$ready" ] && [ "$current" = "$update" ] || return 1
  IFS='|' read -r leader healthy voters < <(
    story_ask get etcdguard "$story_guard" -n "$story_namespace" -o 'jsonpath={.status.leader}|{.status.healthyVoters}|{.status.voters}{"\n"}'
  ) || return 1
  story_progress="the guard sees ${healthy:-0} of ${voters:-0} healthy, leader: ${leader:-none}"
  [ -n "$leader" ] && [ "$healthy" = "$wanted" ] && [ "$voters" = "$wanted" ] || return 1
  # Evictions are put before the budget after the guard has allowed them.
  allowed="$(story_ask get poddisruptionbudget etcd -n "$story_namespace" -o 'jsonpath={.status.disruptionsAllowed}')"
  story_progress="the disruption budget allows ${allowed:-none}"
  [ "${allowed:-0}" -gt 0 ]
}

# story_pod_is_back POD OLD_UID: another pod of that name is ready.
story_pod_is_back() {
  local uid ready
  IFS='|' read -r uid ready < <(
    story_ask get pod "$1" -n "$story_namespace" --ignore-not-found -o 'jsonpath={.metadata.uid}|{.status.conditions[?(@.type=="Ready")].status}{"\n"}'
  ) || return 1
  story_progress="$(story_pods "$story_namespace" etcd)"
  [ -n "$uid" ] && [ "$uid" != "$2" ] && [ "$ready" = True ]
}

story_back_to_steady() {
  story_until "$1 to be back" story_pod_is_back "$1" "$2"
  story_until 'etcd to be steady' story_etcd_is_steady
  story_say "$1 is back, and all members are healthy"
}

# --- installing --------------------------------------------------------------------

# story_install_guard FOLDER: relative to the repository, such as what story_folder says.
story_install_guard() {
  story_heading 'The guard'
  (cd "$root" && story_succeeds apply -k "$1") || exit 1
}

story_wait_for_guard() {
  story_until 'the guard' story_guard_is_ready
  story_say "$(story_pods etcd-guard etcd-guard)"
}

# story_install_etcd FOLDER: the same for etcd; waits until it is steady and protected.
story_install_etcd() {
  story_heading 'An etcd with a label on its namespace and an EtcdGuard'
  (cd "$root" && story_succeeds apply -k "$1") || exit 1
  story_until 'etcd' story_etcd_is_steady
  story_until 'API servers to ask the guard' story_is_asked
}

# API servers take a moment to see a webhook configuration. A dry run changes nothing either way.
story_is_asked() {
  local answer
  answer="$(story_ask delete pod "$(story_leader)" -n "$story_namespace" --dry-run=server 2>&1)" || true
  story_progress="$answer"
  case "$answer" in *'denied the request: '*) ;; *) return 1 ;; esac
}

# --- what happens to whom ------------------------------------------------------------

story_write() {
  story_written="written $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  story_heading 'Something to lose'
  story_succeeds exec -n "$story_namespace" "$story_statefulset-0" -- etcdctl put story "$story_written"
}

story_is_still_there() {
  story_heading 'What was written is still there'
  story_succeeds exec -n "$story_namespace" "$story_statefulset-1" -- etcdctl get story --print-value-only
  case "$story_output" in *"$story_written"*) ;; *) story_fail "that is not \"$story_written\"" ;; esac
}

story_who_leads() {
  story_heading 'Who leads?'
  story_succeeds get etcdguards -n "$story_namespace"
}

story_leader_is_refused() {
  local leader uid
  leader="$(story_leader)"
  uid="$(story_uid "$leader")"
  story_heading 'The leader stays'
  story_show delete pod -n "$story_namespace" "$leader"
  story_was_refused "$leader" "$leader leads" "$uid"
}

# story_was_refused POD TEXT UID: the last command was, by the guard and with this text, and the pod is there.
story_was_refused() {
  local left
  [ "$story_code" -ne 0 ] || story_fail "$1 was let go"
  case "$story_output" in
    *"denied the request: $2"*) ;;
    *) story_fail "it was not the guard that refused, or not with \"$2\"" ;;
  esac
  left="$(story_ask get pod "$1" -n "$story_namespace" -o 'jsonpath={.metadata.uid}{.metadata.deletionTimestamp}')"
  [ "$left" = "$3" ] || story_fail "$1 was refused, and is not the pod that it was"
  story_say "$1 is still there"
}

story_follower_goes() {
  local follower uid
  read -r follower _ < <(story_followers; echo)
  uid="$(story_uid "$follower")"
  story_heading 'A follower can be spared'
  story_succeeds delete pod -n "$story_namespace" "$follower"
  story_back_to_steady "$follower" "$uid"
}

# Of three members; five can spare two.
story_only_one_of_two_goes() {
  local first second more first_uid second_uid
  read -r first second more < <(story_followers; echo)
  [ -z "$more" ] || return 0
  first_uid="$(story_uid "$first")"
  second_uid="$(story_uid "$second")"
  story_heading 'Two followers at once can not'
  story_show delete pod -n "$story_namespace" "$first" "$second" --wait=false
  case "$story_output" in *"pod \"$first\""*deleted*) ;; *) story_fail "$first was not let go" ;; esac
  story_was_refused "$second" "$second" "$second_uid"
  story_back_to_steady "$first" "$first_uid"
}

# As kubectl drain and autoscalers ask, for one pod; a drain of the only node would never end.
story_eviction_moves_leadership() {
  local leader uid eviction version=v1
  leader="$(story_leader)"
  uid="$(story_uid "$leader")"
  [ "$(story_server_minor)" -ge 22 ] || version=v1beta1
  story_heading 'An eviction, as a drain makes it, moves leadership first'
  eviction="{\"apiVersion\":\"policy/$version\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"$leader\",\"namespace\":\"$story_namespace\"}}"
  printf "$ echo '%s' |\n" "$eviction"
  story_evict "$leader" "$eviction"
  story_until 'another leader' story_leads_another "$leader"
  story_say "$(story_leader) leads, and $leader goes"
  story_back_to_steady "$leader" "$uid"
}

# story_evict POD EVICTION: asks again where the disruption budget has not caught up, as a drain does.
story_evict() {
  local deadline=$((SECONDS + story_timeout))
  while :; do
    story_show create --raw "/api/v1/namespaces/$story_namespace/pods/$1/eviction" -f - <<<"$2"
    [ "$story_code" -ne 0 ] || return 0
    case "$story_output" in *'Cannot evict pod'*) ;; *) story_fail "the eviction of $1 was refused" ;; esac
    [ "$SECONDS" -lt "$deadline" ] || story_fail "the disruption budget refused for $story_timeout s"
    sleep 5
  done
}

story_leads_another() {
  local leader
  leader="$(story_leader)"
  story_progress="${leader:-nobody} leads"
  [ -n "$leader" ] && [ "$leader" != "$1" ]
}

story_rolling_restart() {
  local before left
  before="$(story_uids)"
  story_heading 'A rolling restart finishes unattended'
  story_succeeds rollout restart -n "$story_namespace" "statefulset/$story_statefulset"
  story_until 'the new revision' story_is_another_revision "$before"
  story_until 'etcd to be steady' story_etcd_is_steady
  left="$(comm -12 <(printf '%s\n' "$before") <(story_uids))"
  [ -z "$left" ] || story_fail "not every pod was replaced: $left"
  story_say 'every pod was replaced, and nobody had to step in'
}

# story_is_another_revision UIDS: none of these pods is left.
story_is_another_revision() {
  story_progress="$(story_pods "$story_namespace" etcd)"
  [ -z "$(comm -12 <(printf '%s\n' "$1") <(story_uids))" ]
}

# --- what can be seen ----------------------------------------------------------------

# story_metrics_of POD: the metrics of one replica, by port-forward to a free port.
story_metrics_of() (
  log="$(mktemp)"
  # Not by a function, which would put a shell between: kill would not reach kubectl.
  "${kubectl[@]}" port-forward -n etcd-guard "pod/$1" :8080 --address 127.0.0.1 >"$log" 2>&1 &
  pid=$!
  trap 'kill "$pid" 2>/dev/null; rm -f "$log"' EXIT
  for _ in $(seq 100); do
    port="$(sed -n 's/^Forwarding from 127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$log")"
    if [ -n "$port" ]; then
      curl -fsS --max-time 10 "http://127.0.0.1:$port/metrics"
      exit
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  cat "$log" >&2
  exit 1
)

# Each replica counts for itself, so they are added up, as Prometheus would.
story_denials_are_counted() {
  local pod metrics='' denials
  story_heading 'What was counted'
  for pod in $(story_ask get pods -n etcd-guard -l app.kubernetes.io/name=etcd-guard -o 'jsonpath={.items[*].metadata.name}'); do
    printf '$ kubectl port-forward -n etcd-guard pod/%s :8080\n' "$pod"
    metrics="$metrics$(story_metrics_of "$pod")"$'\n' || story_fail "the metrics of $pod can't be read"
  done
  denials="$(printf '%s' "$metrics" | awk '/^etcdguard_denials_total/ && $2 > 0 { sum[$1] += $2 } END { for (one in sum) print one, sum[one] }' | sort)"
  printf '%s\n' "$denials"
  case "$denials" in *'reason="LeaderProtected"'*) ;; *) story_fail 'the refusal of the leader was not counted' ;; esac
}

story_events() {
  story_heading 'What stands in Events'
  story_succeeds get events -n "$story_namespace" --field-selector=involvedObject.kind=Pod,source=etcd-guard \
    -o=custom-columns=POD:.involvedObject.name,TYPE:.type,REASON:.reason,COUNT:.count
  case "$story_output" in *LeaderProtected*) ;; *) story_fail 'the refusal of the leader left no Event' ;; esac
}

# --- all of it -----------------------------------------------------------------------

# story_tell: everything after installing, on an etcd that is steady.
story_tell() {
  story_write
  story_who_leads
  story_leader_is_refused
  story_follower_goes
  story_only_one_of_two_goes
  story_eviction_moves_leadership
  story_rolling_restart
  story_is_still_there
  story_events
  story_denials_are_counted
}

# story_remove: takes the guard and this etcd out of the cluster again, data and all.
story_remove() {
  KUBECTL="${kubectl[*]}" "$root/scripts/uninstall.sh" || story_fail 'not all of the guard is gone'
  story_succeeds delete namespace "$story_namespace" --ignore-not-found
}
