#!/usr/bin/env bash
# From nothing to a guarded etcd on a cluster of its own, and what happens there to the leader, to
# followers, to an eviction and to a rolling restart. Every claim that it prints has been checked.
#
#   scripts/minikube-demo.sh [--kind] [--down]
#
#   --kind     on kind instead of minikube
#   --down     deletes that cluster, and nothing else
#   --help     this text
#
# Run again, it goes on with the cluster that is there, on an image built anew. The cluster (minikube
# profile or kind cluster "etcd-guard") stays until --down, with commands to try; --down of one leaves the
# other alone. Your own kubectl contexts are neither used nor changed: it keeps a kubeconfig of its own.
#
#   START_FLAGS    more for `minikube start` or `kind create cluster`, such as --driver=kvm2
#   BUILD_FLAGS    more for `docker buildx build`, such as --build-arg=NODE_IMAGE=registry.example.com/node:24
#
# It needs minikube (or kind), kubectl, curl and docker, 4 GB of memory, and a way to the registries of
# the base images (Dockerfile) and of etcd. Without docker, minikube builds the image itself.
# Exit code: 0 if everything came out as announced, 1 if something did not, 2 for wrong usage.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
name=etcd-guard

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }
say() { printf 'minikube-demo.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

kind=minikube down=''
for argument in "$@"; do
  case "$argument" in
    --kind) kind=kind ;;
    --down) down=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
read -ra start_flags <<<"${START_FLAGS:-}"
read -ra build_flags <<<"${BUILD_FLAGS:-}"

# Not the user's: minikube and kind would write into it, and change which context is current.
KUBECONFIG="${XDG_CACHE_HOME:-$HOME/.cache}/etcd-guard/$kind.kubeconfig"
export KUBECONFIG
case "$kind" in
  minikube) context="$name" ;;
  kind) context="kind-$name" ;;
esac
# Read by the story.
# shellcheck disable=SC2034
kubectl=(kubectl --context "$context")

# --- what has to be there ------------------------------------------------------------

there() { command -v "$1" >/dev/null; }

needs() {
  local where
  there "$1" && return
  case "$1" in
    minikube) where='https://minikube.sigs.k8s.io/docs/start, or brew install minikube' ;;
    kind) where='https://kind.sigs.k8s.io/docs/user/quick-start, or brew install kind' ;;
    kubectl) where='https://kubernetes.io/docs/tasks/tools, or brew install kubectl' ;;
    docker) where='https://docs.docker.com/engine/install' ;;
    *) where="your system's package manager" ;;
  esac
  say "$1 is not installed: $where"
  missing=1
}

check_programs() {
  missing=''
  needs "$kind"
  needs kubectl
  needs curl
  if [ "$kind" = kind ]; then needs docker; fi
  [ -z "$missing" ] || exit 1
  there docker || return 0
  docker info >/dev/null 2>&1 || die "docker is installed, but its daemon does not answer: \`docker info\` says why"
  docker buildx version >/dev/null 2>&1 ||
    die 'docker has no buildx, which the Dockerfile needs: https://docs.docker.com/build/install-buildx (Debian: apt-get install docker-buildx)'
}

# --- the cluster -----------------------------------------------------------------------

start_minikube() {
  # Starts what is stopped, and leaves alone what runs. With a container runtime of one kind, the image is
  # built and loaded in one way.
  minikube start --profile "$name" --container-runtime=containerd --memory=3g --interactive=false \
    ${start_flags[@]+"${start_flags[@]}"} >&2 ||
    die "minikube could not start a cluster: see above. If one is half there: scripts/minikube-demo.sh --down"
  minikube update-context --profile "$name" >/dev/null
}

start_kind() {
  if ! kind get clusters 2>/dev/null | grep -qx "$name"; then
    kind create cluster --name "$name" --wait 3m ${start_flags[@]+"${start_flags[@]}"} >&2 ||
      die 'kind could not create a cluster: see above'
  fi
  kind export kubeconfig --name "$name" >&2
}

start() {
  mkdir -p "$(dirname "$KUBECONFIG")"
  say "starting a cluster with $kind, or taking the one that is there"
  "start_$kind"
  "${kubectl[@]}" get --raw /readyz >/dev/null ||
    die "the cluster is there, but its API server does not answer: scripts/minikube-demo.sh$(flag) --down, then try again"
}

flag() { if [ "$kind" = kind ]; then printf ' --kind'; fi; }

take_down() {
  needs "$kind"
  [ -z "$missing" ] || exit 1
  case "$kind" in
    minikube) minikube delete --profile "$name" >&2 ;;
    kind) kind delete cluster --name "$name" >&2 ;;
  esac
  rm -f "$KUBECONFIG"
  say "the cluster is deleted; the image $image stays in docker"
}

# --- the image ---------------------------------------------------------------------------

# As deploy/webhook names it.
image="etcd-guard:$(sed -n 's/^ *newTag: //p' "$root/deploy/webhook/kustomization.yaml")"

build_and_load() {
  if there docker; then
    say "building $image"
    # Attestations would make an index of it, which not every containerd imports from an archive.
    docker buildx build --load --provenance=false --tag "$image" ${build_flags[@]+"${build_flags[@]}"} "$root" >&2 ||
      die 'the image could not be built: see above. Base images from a registry of yours: BUILD_FLAGS (--help)'
    say "loading $image"
    "load_into_$kind"
  else
    say "building $image in minikube, as there is no docker"
    minikube image build --profile "$name" --tag "$image" "$root" >&2
    # It exits with 0 even if it could not.
    minikube image ls --profile "$name" | grep -q "/$image\$" || die 'minikube could not build the image: see above'
  fi
}

# By an archive: by name, minikube may take what it has cached of an earlier build.
load_into_minikube() (
  scratch="$(mktemp -d "${TMPDIR:-/tmp}/etcd-guard.XXXXXX")"
  trap 'rm -rf "$scratch"' EXIT
  docker save --output "$scratch/etcd-guard.tar" "$image"
  minikube image load --profile "$name" "$scratch/etcd-guard.tar" >&2
)

load_into_kind() { kind load docker-image --name "$name" "$image" >&2; }

# What the guard's pods run, by content.
running_image() {
  "${kubectl[@]}" get pods -n etcd-guard -l app.kubernetes.io/name=etcd-guard --ignore-not-found \
    -o 'jsonpath={range .items[*]}{.status.containerStatuses[*].imageID}{"\n"}{end}' | sort -u
}

# The tag is the same after every build, so applying alone would not replace what runs.
replace_guard() {
  local built='' earlier='' before
  if there docker; then built="$(docker image inspect --format '{{.Id}}' "$image")"; fi
  if [ -n "$("${kubectl[@]}" get deployment etcd-guard -n etcd-guard --ignore-not-found -o name)" ]; then
    earlier="$("${kubectl[@]}" get deployment etcd-guard -n etcd-guard \
      -o 'jsonpath={.metadata.annotations.demo\.etcd-guard\.io/image}')"
    earlier="${earlier:-not known}"
  fi
  before="$(running_image)"
  story_install_guard "$(story_folder webhook)"
  if [ -n "$earlier" ] && [ "$earlier" != "$built" ]; then
    story_succeeds rollout restart -n etcd-guard deployment/etcd-guard
    story_wait_for_guard
    # minikube before mid-2026 silently keeps an image that is in use (kubernetes/minikube#23023).
    if [ "$earlier" != 'not known' ] && [ "$before" = "$(running_image)" ]; then
      die "the cluster still runs the earlier image: scripts/minikube-demo.sh$(flag) --down, then try again"
    fi
  else
    story_wait_for_guard
  fi
  if [ -n "$built" ]; then
    "${kubectl[@]}" annotate deployment etcd-guard -n etcd-guard --overwrite "demo.etcd-guard.io/image=$built" >/dev/null
  fi
}

try_it() {
  printf '\nThe cluster stays until scripts/minikube-demo.sh%s --down. To try things:\n\n' "$(flag)"
  printf '  export KUBECONFIG=%q\n' "$KUBECONFIG"
  printf '  kubectl get etcdguards -n etcd\n'
  printf '  kubectl delete pod -n etcd etcd-0 --dry-run=server\n'
  printf '  kubectl port-forward -n etcd-guard service/etcd-guard 8080    # http://127.0.0.1:8080: status, /metrics\n'
}

missing=''
if [ -n "$down" ]; then take_down; exit 0; fi

# shellcheck source=scripts/lib/cluster-story.sh
. "$root/scripts/lib/cluster-story.sh"
check_programs
start
build_and_load
replace_guard
story_install_etcd "$(story_folder etcd)"
story_tell
try_it
