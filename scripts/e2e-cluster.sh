#!/usr/bin/env bash
# What deploy/webhook and deploy/etcd promise, tried on a whole cluster (kubelet, StatefulSet controller,
# disruption budgets, Services) with real etcd, unattended: it installs both, does what people and
# controllers do, under writes to etcd and reviews without end, and takes everything away again.
#
#   scripts/e2e-cluster.sh [--keep]                              on a local kubernetes build
#   scripts/e2e-cluster.sh --context NAME [--image IMAGE] [--keep]   on a cluster of yours
#
#   --context NAME   of your kubeconfig. A throw-away cluster: members of etcd are drained and deleted.
#                    It must have none of the namespaces etcd, etcd-guard and e2e-injection
#   --image IMAGE    the guard's, with a tag or a digest, if the nodes don't have the one that
#                    deploy/webhook names
#   --keep           leave everything as it is at the end, also after a failure
#   --help           this text
#
#   LOCAL_KUBERNETES   the folder of a local kubernetes build, with its programs `cluster` and
#                      `image-from-host`; by default one is looked for beside this repository. It is
#                      started if need be, and then also stopped. The guard's image is built there from
#                      the Dockerfile by buildah on bases made of this machine's files; without buildah,
#                      or without a way to npm's registry, from the same commands and files. The image of
#                      etcd is this machine's etcd, under the name that deploy/etcd gives
#
# It needs kubectl, curl, openssl, and for a local build root. Exit code: 0 if everything came out as announced,
# 1 if something did not, 2 for wrong usage, 3 if there is no cluster to run it on.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }
say() { printf 'e2e-cluster.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

context='' image='' keep=''
while [ $# -gt 0 ]; do
  case "$1" in
    --context | --image)
      [ -n "${2:-}" ] || { usage >&2; exit 2; }
      if [ "$1" = --context ]; then context="$2"; else image="$2"; fi
      shift
      ;;
    --keep) keep=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
if [ -z "$context" ] && [ -n "$image" ]; then
  say '--image is for --context: on a local build the image is made from this checkout'
  exit 2
fi

case "${image##*/}" in
  '' | *:?*) ;;
  *) say "$image has neither a tag nor a digest"; exit 2 ;;
esac

# --- the end, however it comes ---------------------------------------------------------

scratch='' overlay='' tls='' injection='' installed='' started='' doing='getting ready' results=()
# Loops and port-forwards that run beside a step.
running=()

# shellcheck disable=SC2317  # reached by the trap
finish() {
  local code=$?
  trap - EXIT
  set +e
  stop_running
  if [ -n "$keep" ]; then
    [ -z "$installed" ] || say "left as it is: ${kubectl[*]} …"
  else
    if [ -n "$installed" ]; then
      say 'cleaning up'
      KUBECTL="${kubectl[*]}" "$root/scripts/uninstall.sh" >/dev/null 2>&1 || code=1
      story_ask delete namespace etcd e2e-injection --ignore-not-found >/dev/null 2>&1 || code=1
      story_ask delete pod e2e-elsewhere -n default --ignore-not-found --wait=false >/dev/null 2>&1
    fi
    if [ -n "$started" ]; then "$local/cluster" down >/dev/null 2>&1 || { say 'the local build was not stopped'; code=1; }; fi
  fi
  rm -rf "$scratch" "$overlay" "$tls" "$injection"
  summary "$code"
  exit "$code"
}

stop_running() {
  local pid
  [ -z "$scratch" ] || touch "$scratch/stop"
  for pid in ${running[@]+"${running[@]}"}; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  running=()
}

# shellcheck disable=SC2317  # reached by the trap
summary() {
  local line
  printf '\n== summary\n'
  for line in ${results[@]+"${results[@]}"}; do printf '%s\n' "$line"; done
  if [ "$1" -eq 0 ]; then
    printf 'all of it came out as announced, in %d s\n' "$SECONDS"
  else
    printf 'FAIL %s (exit code %d, after %d s)\n' "$doing" "$1" "$SECONDS"
  fi
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# step NAME FUNCTION [ARGUMENT]...: one line of the summary; what it found out is in found.
step() {
  local begin=$SECONDS
  doing="$1"
  found=''
  shift
  "$@"
  results+=("$(printf 'ok   %4d s  %s%s' $((SECONDS - begin)) "$doing" "${found:+: $found}")")
}

# --- a local kubernetes build ------------------------------------------------------------

local="${LOCAL_KUBERNETES:-$root/../shared/kubernetes}"
guard_image="etcd-guard:$(sed -n 's/^ *newTag: //p' "$root/deploy/webhook/kustomization.yaml")"
# With sleep and cat in it.
hello_image='docker.io/library/busybox:1.37'
etcd_image="gcr.io/etcd-development/etcd:$(sed -n 's/^ *newTag: //p' "$root/deploy/etcd/kustomization.yaml")"

start_local() {
  local kubeconfig
  if ! "$local/cluster" status >/dev/null 2>&1; then started=1; fi
  kubeconfig="$("$local/cluster" up 2>"$scratch/log")" || { cat "$scratch/log" >&2; die 'the local build could not be started'; }
  kubectl=("$(KUBEBUILDER_ASSETS='' "$root/scripts/kubernetes.sh")/kubectl" --kubeconfig "$kubeconfig")
}

load_local_images() {
  local etcd
  etcd="$(etcd --version | sed -n 's/^etcd Version: //p')" || die 'etcd is not installed here'
  story_say "building $guard_image"
  "$local/image-from-host" --user 65532:65532 "$etcd_image" "$scratch/etcd.tar" etcd etcdctl >"$scratch/log" 2>&1 ||
    { cat "$scratch/log" >&2; die 'the image of etcd could not be made'; }
  "$local/image-from-host" "$hello_image" "$scratch/hello.tar" sleep cat >"$scratch/log" 2>&1 ||
    { cat "$scratch/log" >&2; die 'the image of what is injected into could not be made'; }
  build_guard_image
  "$local/cluster" load-image "$scratch/etcd.tar" "$scratch/guard.tar" "$scratch/hello.tar" >"$scratch/log" 2>&1 ||
    { cat "$scratch/log" >&2; die 'the images could not be loaded'; }
  found="the guard $built; etcd $etcd as $etcd_image"
}

build_guard_image() {
  # What resolves to the pinned Node of this repository; the one on PATH may be another.
  PATH="$root/node_modules/.bin:$PATH"
  node="$(node -p process.execPath)"
  built='by the Dockerfile, on local bases'
  if command -v buildah >/dev/null && build_by_dockerfile >"$scratch/build.log" 2>&1; then return; fi
  [ ! -s "$scratch/build.log" ] || tail -n 40 "$scratch/build.log" >&2
  say 'the Dockerfile can not be built here: making an image of the same files instead'
  build_of_same_files >"$scratch/log" 2>&1 || { tail -n 40 "$scratch/log" >&2; die 'nor do its commands run here'; }
  built='of the Dockerfile'\''s files, without building it'
}

# The Dockerfile's own stages. Chained, as set -e means nothing to a function that is asked how it went.
build_by_dockerfile() {
  local npm librt settings
  # What the bundler's native part is linked with, and node is not.
  librt="$(ldconfig -p | sed -n 's/.*librt\.so\.1 .*=> //p' | head -n 1)" &&
    npm="$(dirname "$(dirname "$(realpath "$(command -v npm)")")")" &&
    printf '#!/bin/sh\nexec node /usr/lib/node_modules/npm/bin/npm-cli.js "$@"\n' >"$scratch/npm" &&
    chmod 755 "$scratch/npm" &&
    "$local/image-from-host" --user 0:0 --entrypoint '["node"]' --env PATH=/usr/local/bin:/usr/bin:/bin \
      --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
      --copy "$npm:/usr/lib/node_modules/npm" --copy "$scratch/npm:/usr/local/bin/npm" \
      --copy "$node:/usr/local/bin/node" --copy "$librt:$librt" \
      localhost/node:24 "$scratch/node-base.tar" "$node" sh bash env uname &&
    "$local/image-from-host" --entrypoint '["node"]' localhost/cc:12 "$scratch/runtime-base.tar" "$node" || return
  settings="$(npm config get userconfig 2>/dev/null)"
  if [ -s "$settings" ]; then cp "$settings" "$scratch/npmrc"; else : >"$scratch/npmrc"; fi
  (umask 077 && mkdir "$scratch/buildah") &&
    local_buildah bud --isolation chroot --secret id=npmrc,src="$scratch/npmrc" \
      --build-arg NODE_IMAGE="docker-archive:$scratch/node-base.tar" \
      --build-arg RUNTIME_IMAGE="docker-archive:$scratch/runtime-base.tar" \
      --tag "localhost/$guard_image" "$root" &&
    local_buildah push "localhost/$guard_image" \
      "docker-archive:$scratch/guard.tar:docker.io/library/$guard_image"
}

# With storage of its own, so that nothing is left of it.
local_buildah() {
  buildah --root "$scratch/buildah/root" --runroot "$scratch/buildah/run" --storage-driver vfs "$@"
}

build_of_same_files() {
  local entrypoint setting environment=()
  "$root/scripts/image-content.sh" "$scratch/content" || return
  entrypoint="$(sed -n 's/^ENTRYPOINT //p' "$root/Dockerfile")"
  while read -r setting; do environment+=(--env "$setting"); done <"$root/deploy/webhook/node.env"
  "$local/image-from-host" --copy "$scratch/content/app:/app" --copy "$node:/usr/local/bin/node" \
    --workdir /app --env NODE_ENV=production "${environment[@]}" --entrypoint "$entrypoint" \
    --cmd "$(sed -n 's/^CMD //p' "$root/Dockerfile")" "docker.io/library/$guard_image" "$scratch/guard.tar" "$node"
}

# --- what is there, before and after -------------------------------------------------------

# inventory FILE: every object by kind, namespace and name, but for what comes and goes by itself.
inventory() {
  local types
  types="$(story_ask api-resources --verbs=list -o name |
    grep -Ev '^(events|leases|componentstatuses)(\.|$)|\.metrics\.k8s\.io$' | paste -sd, -)"
  story_ask get "$types" -A --no-headers \
    -o 'custom-columns=K:.kind,N:.metadata.namespace,M:.metadata.name' 2>/dev/null |
    awk '{ print $1, $2, $3 }' | sort -u >"$1"
  [ -s "$1" ]
}

nothing_is_left() {
  inventory "$scratch/after" || return 1
  story_progress="still there: $(comm -13 "$scratch/before" "$scratch/after" | paste -sd, -)"
  [ -z "$(comm -13 "$scratch/before" "$scratch/after")" ]
}

is_thrown_away() {
  local there
  there="$(story_ask get namespace etcd etcd-guard e2e-injection --ignore-not-found -o name)" || die 'the API server does not answer'
  there="$there${there:+$'\n'}$(story_ask get validatingwebhookconfiguration etcd-guard --ignore-not-found -o name)"
  there="${there%$'\n'}"
  [ -z "$there" ] || die "this is for a throw-away cluster, and there is already: ${there//$'\n'/, }"
}

# folder_of webhook|etcd: what to apply; with --image, a folder that sets it.
folder_of() {
  local folder name setting
  folder="$(story_folder "$1")"
  if [ "$1" = etcd ] || [ -z "$image" ]; then
    printf '%s\n' "$folder"
    return
  fi
  case "${image##*/}" in
    *@sha256:*) name="${image%@*}" setting="digest: ${image#*@}" ;;
    *) name="${image%:*}" setting="newTag: \"${image##*:}\"" ;;
  esac
  # `bases`, for the kustomize of old kubectls.
  printf 'bases: [../%s]\nimages:\n- name: etcd-guard\n  newName: %s\n  %s\n' "$folder" "$name" "$setting" \
    >"$overlay/kustomization.yaml"
  printf '%s\n' "${overlay#"$root/"}"
}

# --- writes that go on -----------------------------------------------------------------------

# Numbered keys through the client Service, from inside whichever member can be reached; what etcd has
# acknowledged is noted. Nobody writes a number twice: one that failed may be there or not.
write_on() {
  local number=0 member=0 key
  while [ ! -e "$scratch/stop" ]; do
    number=$((number + 1))
    key="$(printf 'e2e/%06d' "$number")"
    if story_ask exec -n etcd "etcd-$member" -c etcd -- etcdctl --endpoints=http://etcd-client:2379 \
      --command-timeout=5s put "$key" "value-$number" >/dev/null 2>&1; then
      printf '%s value-%d %s\n' "$key" "$number" "$(date +%s)" >>"$scratch/acknowledged"
    else
      printf '%s\n' "$key" >>"$scratch/unacknowledged"
      member=$(((member + 1) % 3))
    fi
  done
}

start_writing() {
  : >"$scratch/acknowledged"
  : >"$scratch/unacknowledged"
  rm -f "$scratch/stop"
  write_on &
  running+=($!)
  story_until 'the first write' has_written 1
}

has_written() { [ "$(wc -l <"$scratch/acknowledged")" -ge "$1" ]; }

# Every acknowledged write is read back, by a read that a quorum has confirmed.
no_write_is_lost() {
  local written lost
  # After all of it etcd still takes writes.
  story_until 'writes to go on' has_written $(($(wc -l <"$scratch/acknowledged") + 3))
  touch "$scratch/stop"
  wait "${running[@]}"
  running=()
  awk '{ print $1, $2 }' "$scratch/acknowledged" | sort >"$scratch/expected"
  story_ask exec -n etcd etcd-0 -c etcd -- etcdctl get e2e/ --prefix | paste -d ' ' - - | sort >"$scratch/stored"
  lost="$(comm -23 "$scratch/expected" "$scratch/stored")"
  written="$(wc -l <"$scratch/expected")"
  [ -z "$lost" ] || story_fail "acknowledged and lost: ${lost//$'\n'/, }"
  found="$((written)) writes acknowledged, none lost; $(($(wc -l <"$scratch/unacknowledged"))) not acknowledged; longest pause $(longest_pause) s"
  story_say "$found"
  story_ask exec -n etcd etcd-0 -c etcd -- etcdctl del e2e/ --prefix >/dev/null
}

longest_pause() { awk 'NR > 1 && $3 - last > most { most = $3 - last } { last = $3 } END { print most + 0 }' "$scratch/acknowledged"; }

restart_without_a_lost_write() {
  start_writing
  story_rolling_restart
  no_write_is_lost
}

drain_without_a_lost_write() {
  local node nodes
  start_writing
  story_heading 'kubectl drain of every node with members on it'
  nodes="$(story_ask get pods -n etcd -l app.kubernetes.io/name=etcd -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | sort -u)"
  for node in $nodes; do drain "$node"; done
  no_write_is_lost
}

# One node alone can't be drained to its end: what has been evicted would wait for a node, and the budget
# for it. So the node is uncordoned as soon as the drain has cordoned it.
drain() {
  local before left
  before="$(story_ask get pods -n etcd -l app.kubernetes.io/name=etcd --field-selector="spec.nodeName=$1" \
    -o 'jsonpath={range .items[*]}{.metadata.uid}{"\n"}{end}' | sort)"
  story_say "$1 is uncordoned once it is cordoned, so that members can come back to it meanwhile"
  uncordon_once_cordoned "$1" &
  running+=($!)
  story_succeeds drain "$1" --pod-selector=app.kubernetes.io/name=etcd --ignore-daemonsets --timeout="${story_timeout}s"
  story_until 'etcd to be steady' story_etcd_is_steady
  left="$(comm -12 <(printf '%s\n' "$before") <(story_uids))"
  [ -z "$left" ] || story_fail "drained, but still there: $left"
  story_say 'drained to the end, and nobody had to step in'
}

uncordon_once_cordoned() {
  until [ "$(story_ask get node "$1" -o 'jsonpath={.spec.unschedulable}')" = true ]; do
    [ ! -e "$scratch/stop" ] || return 0
    sleep 0.2
  done
  story_ask uncordon "$1" >/dev/null
}

# --- reviews that go on ------------------------------------------------------------------------

# review_on POD EXPECTED: dry-run deletes, one after the other; every answer is judged.
review_on() {
  local answer
  while [ ! -e "$scratch/stop" ]; do
    answer="$(curl -sS --max-time 30 -X DELETE "$api/api/v1/namespaces/etcd/pods/$1?dryRun=All" 2>&1)" || true
    case "$answer" in
      *"$2"*) echo ok ;;
      *) printf 'FAIL %s %s: %s\n' "$(date -u +%H:%M:%SZ)" "$1" "${answer//$'\n'/ }" ;;
    esac >>"$scratch/reviews"
  done
}

# Of the leader, each refused, and of a follower, each allowed.
start_reviewing() {
  local leader follower
  : >"$scratch/reviews"
  rm -f "$scratch/stop"
  # Here, since the background gets to it late: the port of an earlier proxy would be taken for this one's.
  : >"$scratch/proxy.log"
  "${kubectl[@]}" proxy --port=0 >>"$scratch/proxy.log" 2>&1 &
  running+=($!)
  story_until 'kubectl proxy' proxy_serves
  leader="$(story_leader)"
  read -r follower _ < <(story_followers; echo)
  review_on "$leader" "denied the request: $leader leads" &
  running+=($!)
  review_on "$follower" '"kind": "Pod",' &
  running+=($!)
  story_until 'the first reviews' has_reviewed 10
}

proxy_serves() {
  local port
  port="$(sed -n 's/^Starting to serve on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$scratch/proxy.log")"
  api="http://127.0.0.1:$port"
  [ -n "$port" ]
}

has_reviewed() {
  story_progress="$(grep -v '^ok$' "$scratch/reviews" | tail -n 1 || true)"
  [ "$(wc -l <"$scratch/reviews")" -ge "$1" ]
}

no_review_failed() {
  local all failed
  # What would only show later: connections that were kept to what is gone.
  story_until 'more reviews' has_reviewed $(($(wc -l <"$scratch/reviews") + 100))
  # The loops first, to their end: without its proxy a review that is under way would count as failed.
  touch "$scratch/stop"
  wait "${running[@]:1}"
  stop_running
  all="$(wc -l <"$scratch/reviews")"
  failed="$(grep -vc '^ok$' "$scratch/reviews" || true)"
  found="$((all)) reviews, $((failed)) failed"
  story_say "$found"
  if [ "$failed" -gt 0 ]; then
    grep -v '^ok$' "$scratch/reviews" | head -n 5 >&2
    story_fail "$failed of $((all)) reviews failed"
  fi
}

guard_pods() {
  story_ask get pods -n etcd-guard -l app.kubernetes.io/name=etcd-guard \
    -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' | sort
}

guard_is_replaced() {
  story_progress="$(story_pods etcd-guard etcd-guard)"
  [ -z "$(comm -12 <(printf '%s\n' "$1") <(guard_pods))" ]
}

guard_restarts() {
  local before
  start_reviewing
  before="$(guard_pods)"
  story_heading 'The guard is restarted, and every review is answered'
  story_succeeds rollout restart -n etcd-guard deployment/etcd-guard
  story_until 'the new replicas' guard_is_replaced "$before"
  story_until 'the guard' story_guard_is_ready
  no_review_failed
}

# --- an upgrade that can't be ---------------------------------------------------------------------

image_is_missing() {
  story_progress="$(story_pods etcd-guard etcd-guard)"
  case "$story_progress" in *ErrImagePull* | *ImagePullBackOff*) ;; *) return 1 ;; esac
}

upgrade_without_image() {
  local before
  start_reviewing
  before="$(guard_pods)"
  story_heading 'An upgrade to an image that is not there says so, takes nothing away, and can be undone'
  story_succeeds set image deployment/etcd-guard -n etcd-guard etcd-guard=registry.invalid/etcd-guard:none
  story_until 'the new replica to say what it lacks' image_is_missing
  story_say "$(story_pods etcd-guard etcd-guard)"
  story_succeeds rollout undo -n etcd-guard deployment/etcd-guard
  story_until 'the replicas that were there before, and no other' guard_pods_are "$before"
  story_until 'the guard' story_guard_is_ready
  no_review_failed
}

guard_pods_are() {
  story_progress="$(story_pods etcd-guard etcd-guard)"
  [ "$(guard_pods)" = "$1" ]
}

# --- a new authority ------------------------------------------------------------------------------

secret_field() { story_ask get secret etcd-guard-tls -n etcd-guard -o "jsonpath={.data.$1}"; }

# served_until: when each replica's certificate ends, as a replica itself says.
served_until() {
  local pod
  for pod in $(guard_pods); do
    story_metrics_of "$pod" | awk '$1 == "etcdguard_certificate_expiry_timestamp_seconds" { print $2 }'
  done
}

authorities() {
  story_ask get validatingwebhookconfiguration etcd-guard -o 'jsonpath={.webhooks[0].clientConfig.caBundle}' |
    base64 -d | grep -c 'BEGIN CERTIFICATE' || true
}

certificate_is_new() {
  local served
  story_progress='the Secret has no new authority'
  [ -n "$(secret_field 'ca\.key')" ] && [ "$(secret_field 'tls\.crt')" != "$1" ] || return 1
  served="$(served_until)"
  story_progress="served until ${served//$'\n'/ and }"
  [ "$(printf '%s\n' "$served" | wc -l)" -eq 2 ] && [ -z "$(comm -12 <(sort -u <<<"$2") <(sort -u <<<"$served"))" ]
}

certificate_is_renewed() {
  local certificate served begin
  start_reviewing
  certificate="$(secret_field 'tls\.crt')"
  served="$(served_until)"
  story_heading 'A new authority and certificate, and every review is answered'
  begin=$SECONDS
  story_succeeds patch secret etcd-guard-tls -n etcd-guard --type=json \
    --patch='[{"op": "remove", "path": "/data/ca.key"}]'
  story_until 'both replicas to serve a new certificate' certificate_is_new "$certificate" "$served"
  story_say "both replicas serve it after $((SECONDS - begin)) s; $(authorities) authorities are trusted"
  [ "$(authorities)" -eq 2 ] || story_fail 'not the old and the new authority are trusted'
  no_review_failed
}

# --- no guard at all --------------------------------------------------------------------------------

guard_is_gone() {
  story_progress="$(story_pods etcd-guard etcd-guard)"
  [ -z "$(guard_pods)" ]
}

guard_is_away() {
  local follower uid
  read -r follower _ < <(story_followers; echo)
  uid="$(story_uid "$follower")"
  story_heading 'Without a guard nothing is deleted, and all else goes on'
  story_succeeds scale deployment/etcd-guard -n etcd-guard --replicas=0
  story_until 'no replica to be left' guard_is_gone
  story_show delete pod -n etcd "$follower"
  [ "$story_code" -ne 0 ] || story_fail "$follower was let go"
  case "$story_output" in *'failed calling webhook "pods.etcd-guard.io"'*) ;; *) story_fail 'refused for another reason' ;; esac
  [ "$(story_uid "$follower")" = "$uid" ] || story_fail "$follower is not the pod that it was"
  story_succeeds exec -n etcd "$follower" -c etcd -- etcdctl put story 'written without a guard'
  story_succeeds run e2e-elsewhere -n default --image="${image:-$guard_image}" --restart=Never
  story_succeeds delete pod -n default e2e-elsewhere --grace-period=1

  story_heading 'With the guard back, it goes on as before'
  story_succeeds scale deployment/etcd-guard -n etcd-guard --replicas=2
  story_until 'the guard' story_guard_is_ready
  story_until 'etcd to be steady' story_etcd_is_steady
  story_until 'API servers to ask the guard' story_is_asked
  story_leader_is_refused
  story_follower_goes
}

# --- TLS ------------------------------------------------------------------------------------------------

# A namespace of etcd goes while a guard answers; then the same etcd, but with TLS.
etcd_with_tls() {
  local program
  story_heading 'A namespace of etcd goes while the guard answers, and comes back with TLS'
  story_succeeds delete namespace etcd --timeout="${story_timeout}s"
  printf '$ deploy/etcd/components/tls/make-certificates.sh\n'
  KUBECTL="${kubectl[*]}" "$root/deploy/etcd/components/tls/make-certificates.sh" "$scratch/certificates" 2>&1 ||
    story_fail 'the certificates could not be made'
  # The cluster's own kubectl may know no components.
  program="$("$root/scripts/kubectl.sh")" || die 'no kubectl here knows components of kustomize'
  tls="$(mktemp -d "$root/.release.XXXXXX")"
  printf 'resources: [../%s]\ncomponents: [../deploy/etcd/components/tls]\n' "$(story_folder etcd)" >"$tls/kustomization.yaml"
  "$program" kustomize "$tls" >"$scratch/etcd-tls.yaml"
  story_succeeds apply -f "$scratch/etcd-tls.yaml"
  story_until 'etcd' story_etcd_is_steady
  story_until 'API servers to ask the guard' story_is_asked
  story_leader_is_refused
  story_follower_goes
}

# --- injection ------------------------------------------------------------------------------------------

# The guard once more, with the component. The cluster's own kubectl may know no components.
with_injection() {
  local program
  story_heading 'The guard is given the component injection'
  program="$("$root/scripts/kubectl.sh")" || die 'no kubectl here knows components of kustomize'
  injection="$(mktemp -d "$root/.release.XXXXXX")"
  printf 'resources: [../%s]\ncomponents: [../deploy/webhook/components/injection]\n' "$(folder_of webhook)" \
    >"$injection/kustomization.yaml"
  "$program" kustomize "$injection" >"$scratch/injection.yaml"
  story_succeeds apply -f "$scratch/injection.yaml"
  story_succeeds rollout status -n etcd-guard deployment/etcd-guard --timeout="${story_timeout}s"
  story_until 'the guard to be trusted by the new webhook' is_trusted_to_inject
}

is_trusted_to_inject() {
  [ -n "$(story_ask get mutatingwebhookconfiguration etcd-guard-injection -o 'jsonpath={.webhooks[0].clientConfig.caBundle}')" ]
}

# hello_pod NAME ANSWER: a pod that asks for what its guard names, or does not.
hello_pod() {
  printf 'apiVersion: v1\nkind: Pod\nmetadata:\n  name: %s\n  namespace: e2e-injection\n' "$1"
  printf '  labels: {app: hello, etcd-guard.io/inject: %s}\nspec:\n  terminationGracePeriodSeconds: 1\n' "$2"
  printf '  containers:\n    - {name: main, image: "%s", command: [sleep, "86400"]}\n' "$hello_image"
}

injected_file_is_read() {
  local text='hello from a ConfigMap'
  story_heading 'A pod that asks has the file, one that does not has none'
  story_succeeds create namespace e2e-injection
  story_succeeds label namespace e2e-injection etcd-guard.io/protect=enabled
  story_succeeds create configmap hello -n e2e-injection --from-literal="hello.txt=$text"
  {
    printf 'apiVersion: etcd-guard.io/v1alpha1\nkind: EtcdGuard\nmetadata: {name: hello, namespace: e2e-injection}\n'
    printf 'spec:\n  selector: {matchLabels: {app: hello}}\n'
    printf '  inject: {files: [{configMap: hello, mountPath: /etc/config}]}\n---\n'
    hello_pod plain disabled
  } >"$scratch/hello.yaml"
  story_succeeds apply -f "$scratch/hello.yaml"
  hello_pod asks enabled >"$scratch/asks.yaml"
  # API servers follow their configurations with a delay, and what is missed is not refused.
  story_until 'API servers to ask for injection' is_injected
  story_succeeds apply -f "$scratch/asks.yaml"
  story_succeeds wait pod/asks pod/plain -n e2e-injection --for=condition=Ready --timeout="${story_timeout}s"
  story_succeeds exec -n e2e-injection asks -- cat /etc/config/hello.txt
  [ "$story_output" = "$text" ] || story_fail 'that is not what the ConfigMap has'
  story_show exec -n e2e-injection plain -- cat /etc/config/hello.txt
  [ "$story_code" -ne 0 ] || story_fail 'a pod that does not ask has the file'
  case "$story_output" in *'No such file'*) ;; *) story_fail 'failed for another reason' ;; esac
  story_succeeds get pods -n e2e-injection -L etcd-guard.io/injected
  story_succeeds delete namespace e2e-injection --timeout="${story_timeout}s"
}

is_injected() {
  story_ask create -f "$scratch/asks.yaml" --dry-run=server -o yaml 2>/dev/null | grep -q 'etcd-guard.io/injected'
}

# The kubelet's part in it is real here: Ready only with the condition, and the controller waits for it.
rolls_with_the_gate() {
  local pod
  story_heading 'A rolling update with the readiness gate'
  story_succeeds patch etcdguard etcd -n etcd --type=merge --patch='{"spec": {"inject": {"readinessGate": true}}}'
  story_succeeds patch statefulset etcd -n etcd --type=merge \
    --patch='{"spec": {"template": {"metadata": {"labels": {"etcd-guard.io/inject": "enabled"}}}}}'
  story_succeeds rollout status -n etcd statefulset/etcd --timeout="${story_timeout}s"
  story_until 'etcd to be steady' story_etcd_is_steady
  for pod in etcd-0 etcd-1 etcd-2; do
    story_show get pod "$pod" -n etcd \
      -o 'jsonpath={.spec.readinessGates[*].conditionType} {.status.conditions[?(@.type=="etcd-guard.io/InSync")].reason}'
    [ "$story_output" = 'etcd-guard.io/InSync HealthyVoter' ] || story_fail "$pod has not been held until it was in sync"
  done
}

# --- and away ------------------------------------------------------------------------------------------

removed() {
  local leader
  leader="$(story_leader)"
  story_heading 'Uninstalled: nobody is locked out, and nothing is left'
  printf '$ scripts/uninstall.sh\n'
  KUBECTL="${kubectl[*]}" "$root/scripts/uninstall.sh" || story_fail 'scripts/uninstall.sh failed'
  story_succeeds delete pod -n etcd "$leader" --dry-run=server
  story_succeeds delete namespace etcd
  story_until 'nothing to be left' nothing_is_left
  installed=''
  found="$(wc -l <"$scratch/after" | tr -d ' ') objects, all of them there before"
  story_say "$found"
}

# --- all of it -------------------------------------------------------------------------------------------

command -v curl >/dev/null || die 'curl is not installed'
kubectl=(kubectl --context "$context")
# shellcheck source=scripts/lib/cluster-story.sh
. "$root/scripts/lib/cluster-story.sh"
scratch="$(mktemp -d "${TMPDIR:-/tmp}/etcd-guard-e2e.XXXXXX")"
# Kustomizations refer to others by relative paths only.
if [ -n "$image" ]; then overlay="$(mktemp -d "$root/.release.XXXXXX")"; fi

if [ -n "$context" ]; then
  command -v kubectl >/dev/null || die 'kubectl is not installed'
  is_thrown_away
elif [ -x "$local/cluster" ] && [ -x "$local/image-from-host" ]; then
  step 'the local build is up' start_local
  is_thrown_away
  step 'images' load_local_images
else
  say "no cluster: there is no local kubernetes build in $local (LOCAL_KUBERNETES), and --context names none (--help)"
  exit 3
fi
story_say "Kubernetes $(story_ask version -o json | sed -n '/serverVersion/,$s/.*"gitVersion": "\(.*\)".*/\1/p'), $(story_ask get nodes -o name | wc -l | tr -d ' ') node(s)"

installing() {
  story_install_guard "$(folder_of webhook)"
  story_install_etcd "$(folder_of etcd)"
}

inventory "$scratch/before"
installed=1
step 'two kubectl apply -k, and nothing else' installing
step 'a write before all that' story_write
step 'the leader is refused' story_leader_is_refused
step 'a follower goes and is back, 3/3' story_follower_goes
step 'of two followers at once, one goes' story_only_one_of_two_goes
step 'an eviction of the leader moves leadership first' story_eviction_moves_leadership
step 'drain' drain_without_a_lost_write
step 'rolling restart of etcd' restart_without_a_lost_write
step 'what was written is still there' story_is_still_there
# Before the guard is restarted: counters are a process's own.
step 'Events' story_events
step 'counters' story_denials_are_counted
step 'rolling restart of the guard' guard_restarts
step 'an upgrade to an image that is not there' upgrade_without_image
step 'renewal of the certificate' certificate_is_renewed
step 'the guard scaled to 0, and back' guard_is_away
step 'the component injection' with_injection
step 'an injected file, read in its container' injected_file_is_read
step 'a rolling update with the readiness gate' rolls_with_the_gate
step 'etcd with TLS, in its namespace made anew' etcd_with_tls
step 'removed, with nothing left' removed
