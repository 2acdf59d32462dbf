#!/usr/bin/env bash
# Provides a real kube-apiserver, kube-controller-manager and kubectl, and prints
# the directory they are in: the only line on stdout, progress goes to stderr.
#
#   export KUBEBUILDER_ASSETS="$(scripts/kubernetes.sh)"
#
#   --quick      only what is at hand or quickly downloaded; otherwise one line that
#                says what would get one, and exit code 3 (--no-build is the same)
#   --help       this text
#
# The first of these that has them and runs:
#
#   1. the directory that KUBEBUILDER_ASSETS names
#   2. the cache of earlier downloads and builds
#   3. the official release, its published checksums verified (Linux: all three;
#      macOS: envtest's archive, which has no kube-controller-manager)
#   4. Debian 12: a build from Debian's kubernetes source package, five minutes once
#
#   KUBE_CACHE       where a build goes, and downloads below it (default
#                    ${XDG_CACHE_HOME:-$HOME/.cache}/kubernetes-VERSION)
#   KUBE_DOWNLOAD    the host of the official release, for a copy of it
#                    (default https://dl.k8s.io/release)
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

release=1.34.1
built=1.20.2
release_url="${KUBE_DOWNLOAD:-https://dl.k8s.io/release}"
envtest_url=https://github.com/kubernetes-sigs/controller-tools/releases/download

caches="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}"
build_dir="${KUBE_CACHE:-$caches/kubernetes-$built}"
release_dir="${KUBE_CACHE:-$caches}/kubernetes-$release"

system="$(uname -s)"
case "$(uname -m)" in
  x86_64 | amd64) arch=amd64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) arch='' ;;
esac
programs=(kube-apiserver kubectl)
[ "$system" = Darwin ] || programs+=(kube-controller-manager)

say() { printf 'kubernetes.sh: %s\n' "$*" >&2; }
usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }

# --- what is at hand -----------------------------------------------------------

# runs DIR NAME: whether the program is there and is one of Kubernetes'.
runs() {
  [ -x "$1/$2" ] || return 1
  case "$2" in
    kubectl) "$1/$2" version --client ;;
    *) "$1/$2" --version ;;
  esac 2>/dev/null | grep -q 'v1\.'
}

# complete DIR: every program is there and runs. Says what keeps an existing
# directory from being used.
complete() {
  local name
  [ -d "$1" ] || return 1
  for name in "${programs[@]}"; do
    if [ ! -e "$1/$name" ]; then
      [ ! -e "$1/kube-apiserver" ] || say "$1 has no $name"
      return 1
    fi
    runs "$1" "$name" || { say "$1/$name does not run here"; return 1; }
  done
}

found() {
  if [ ! -e "$1/kube-controller-manager" ]; then
    say 'without kube-controller-manager: there is no official one for macOS'
  fi
  (cd "$1" && pwd -P)
  exit 0
}

# --- one at a time -------------------------------------------------------------

scratch=''
# shellcheck disable=SC2317  # reached by the trap
cleanup() { [ -z "$scratch" ] || rm -rf "$scratch"; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# lock FILE: until `unlock`, or until this script ends, however that happens. macOS
# has no flock, but perl can take the same lock on the descriptor that it inherits.
lock() {
  mkdir -p "$(dirname "$1")"
  exec 9>"$1"
  flock_9 -n || { say 'another run is at it, waiting'; flock_9; }
}

flock_9() {
  if command -v flock >/dev/null; then
    flock "$@" 9
  else
    perl -e 'open(my $file, ">&=", 9) or exit 1; exit !flock($file, @ARGV ? 6 : 2)' -- "$@"
  fi
}

unlock() { exec 9>&-; }

# --- the official release ------------------------------------------------------

# Why the release could not be had.
failure='the official release does not run here'

# fetch URL FILE: gives up within seconds when there is no way out, and on a
# download that trickles.
fetch() {
  if command -v curl >/dev/null; then
    curl -fsSL --connect-timeout 4 --speed-limit "$slowest" --speed-time 15 -o "$2" "$1" 2>/dev/null
  elif command -v wget >/dev/null; then
    wget -q --tries=1 --dns-timeout=4 --connect-timeout=4 --read-timeout=15 -O "$2" "$1"
  else
    return 1
  fi
}

# verify FILE ALGORITHM DIGEST
verify() {
  local digest
  [ -n "$3" ] || return 1
  if command -v "sha$2sum" >/dev/null; then
    digest="$("sha$2sum" "$1")"
  else
    digest="$(shasum -a "$2" "$1")"
  fi
  [ "${digest%% *}" = "$3" ]
}

# Linux: each program by itself. The digests are small and come first: they are
# also the question whether the release can be reached at all.
fetch_linux() {
  local name from="$release_url/v$release/bin/linux/$arch"
  for name in "${programs[@]}"; do
    fetch "$from/$name.sha256" "$scratch/$name.sha256" || { failure="no way out to $from"; return 1; }
  done
  for name in "${programs[@]}"; do
    say "downloading $name $release"
    fetch "$from/$name" "$scratch/$name" || { failure="the download of $name broke off or was too slow"; return 1; }
    verify "$scratch/$name" 256 "$(tr -d '[:space:]' <"$scratch/$name.sha256")" ||
      { failure="$name is not what its published checksum says"; return 1; }
    chmod +x "$scratch/$name"
    rm "$scratch/$name.sha256"
  done
}

# macOS: envtest's archive, which also has etcd. Its digests are those of
# envtest-releases.yaml in the controller-tools repository.
fetch_darwin() {
  local archive="envtest-v$release-darwin-$arch.tar.gz" digest name
  case "$arch" in
    amd64) digest=d9e0464dc1708c36ab41147b5e364c8b8e201eafc14c299dcbe58ebeaa82c651b8e834647167a951ded8c6d08c616aadbae1673a54743f9c8fa15a278c78c0c0 ;;
    arm64) digest=43d7c10b74100d20044df7c73be03e26f8243a9cb7c1d3035e581ee7bb0c7ffcaf759b9e182186b5bb2f47d1608835414ca443181a02d9ecb6c9cf04b43e3809 ;;
    *) return 1 ;;
  esac
  say "downloading $archive"
  fetch "$envtest_url/envtest-v$release/$archive" "$scratch/$archive" || { failure="no way out to $envtest_url"; return 1; }
  verify "$scratch/$archive" 512 "$digest" || { failure="$archive is not what its published checksum says"; return 1; }
  tar -xzf "$scratch/$archive" -C "$scratch"
  for name in kube-apiserver kubectl etcd; do
    find "$scratch" -mindepth 2 -type f -name "$name" -exec mv {} "$scratch/$name" ';'
  done
  rm "$scratch/$archive"
}

fetch_release() {
  if [ "$system" = Darwin ]; then fetch_darwin; else fetch_linux; fi
}

# The directory appears under its name only when all of it is there and runs.
download() {
  case "$system/$arch" in
    Linux/amd64 | Linux/arm64 | Darwin/amd64 | Darwin/arm64) ;;
    *) failure="there is no official release for $system $(uname -m)"; return 1 ;;
  esac
  mkdir -p "$(dirname "$release_dir")"
  lock "$release_dir.lock"
  if ! complete "$release_dir"; then
    # A run that was killed may have left its own behind.
    rm -rf "$release_dir".part.*
    scratch="$(mktemp -d "$release_dir.part.XXXXXX")"
    # No set -e in here, as the caller asks for the outcome: every step says how it went.
    if ! fetch_release || ! complete "$scratch"; then
      rm -rf "$scratch"
      scratch=''
      unlock
      return 1
    fi
    chmod 755 "$scratch"
    rm -rf "$release_dir"
    mv "$scratch" "$release_dir"
    scratch=''
  fi
  unlock
}

# --- all together --------------------------------------------------------------

quick=''
case "${1:-}" in
  '') ;;
  --quick | --no-build) quick=1 ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac
# Bytes a second below which a download is given up: with --quick some 200 MiB
# should not take longer than a minute or two.
slowest=1000
[ -z "$quick" ] || slowest=1500000

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  complete "$KUBEBUILDER_ASSETS" && found "$KUBEBUILDER_ASSETS"
  say "KUBEBUILDER_ASSETS ($KUBEBUILDER_ASSETS) is of no use, looking further"
fi
for dir in "$release_dir" "$build_dir"; do
  if complete "$dir"; then found "$dir"; fi
done
if download; then found "$release_dir"; fi

if [ -n "$quick" ]; then
  say "no kube-apiserver at hand ($failure); $here/kubernetes.sh builds one"
  exit 3
fi
say "$failure, so building from source"
lock "$build_dir/.lock"
# The build keeps what is there: what does not run must go.
for name in "${programs[@]}"; do
  [ ! -e "$build_dir/$name" ] || runs "$build_dir" "$name" || rm -f "$build_dir/$name"
done
"$here/kubernetes/build-from-debian.sh" "$build_dir" "$built"
complete "$build_dir" || { say "the build left no complete set in $build_dir"; exit 1; }
found "$build_dir"
