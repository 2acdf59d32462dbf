#!/usr/bin/env bash
# Renders the manifests of a release, each in one file that `kubectl apply -f` takes without this repository.
#
#   scripts/release-manifests.sh IMAGE DIR
#
#   IMAGE    of the guard, by tag or by digest: ghcr.io/owner/etcd-guard@sha256:…
#   DIR      where the files go
#   --help   this text
#
#   KUBECTL  which kubectl, 1.21 or newer (default: what scripts/kubectl.sh finds)
#
# It needs no cluster.
set -euo pipefail

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }
case "${1:-}" in -h | --help) usage; exit 0 ;; esac
[ $# -eq 2 ] || { usage >&2; exit 2; }

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
image="$1" dir="$2"
name=''
# A colon before the last slash is that of a registry's port.
case "${image##*/}" in
  *@sha256:*) name="${image%@*}" setting="digest: ${image#*@}" ;;
  *:?*) name="${image%:*}" setting="newTag: \"${image##*:}\"" ;;
esac
case "$name" in
  '' | *[!a-z0-9/._:-]*) echo "release-manifests.sh: $image is no image with a tag or a digest" >&2; exit 2 ;;
esac

kubectl="${KUBECTL:-$("$root/scripts/kubectl.sh")}"

# Kustomizations refer to others by relative paths only.
scratch="$(mktemp -d "$root/.release.XXXXXX")"
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$dir"

# render FOLDER FILE: a folder below deploy/, with that image.
render() {
  cat >"$scratch/kustomization.yaml" <<END
resources: [../deploy/$1]
images:
- name: etcd-guard
  newName: $name
  $setting
END
  "$kubectl" kustomize "$scratch" >"$dir/$2"
}

render webhook etcd-guard.yaml
render overlays/webhook/cert-manager etcd-guard-cert-manager.yaml
render overlays/webhook/fail-open etcd-guard-fail-open.yaml
render overlays/webhook/legacy etcd-guard-legacy.yaml
render etcd etcd.yaml
