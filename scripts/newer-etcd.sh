#!/usr/bin/env bash
# Provides a newer etcd beside the one that is installed, 3.5, and prints the directory that has its etcd
# and etcdctl: the only line on stdout, progress goes to stderr.
#
#   scripts/newer-etcd.sh
#
#   --help       this text
#
# The first of these that has it and runs:
#
#   1. the directory that NEWER_ETCD names, of 3.5 or newer (etcd is upgraded one minor version at a time)
#   2. the cache of earlier downloads
#   3. the packages of Debian 13, from the mirrors of this machine's apt sources: unpacked, not installed
#   4. the official release, its published checksums verified
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
# shellcheck source=scripts/lib/setup.sh
. "$root/scripts/lib/setup.sh"
# shellcheck source=scripts/lib/etcd.sh
. "$root/scripts/lib/etcd.sh"

etcd_release=3.5.16
suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

case "${1:-}" in
  '') ;;
  -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; exit 0 ;;
  *) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

is_newer() {
  "$1/etcd" --version 2>/dev/null | grep -Eq 'etcd Version: 3\.([5-9]|[1-9][0-9])\.' &&
    "$1/etcdctl" version >/dev/null 2>&1
}

found() { printf '%s\n' "$1"; exit 0; }

# Debian's mirrors among the sources of this machine, whichever release of Debian they are asked for.
# shellcheck disable=SC2317  # etcd_fill calls it
mirrors() {
  # shellcheck disable=SC2016  # apt-get fills these in
  apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' |
    awk '$2 == "main" && $1 !~ /security/ && !seen[$1]++ { print $1 }'
}

# In the directory that etcd_fill has made.
# shellcheck disable=SC2317  # etcd_fill calls it
unpack_debian() {
  local mirror package options=(
    -o "Dir::Etc::SourceList=$PWD/sources.list" -o Dir::Etc::SourceParts=-
    -o "Dir::State::Lists=$PWD/lists" -o "Dir::Cache=$PWD/cache"
    -o Acquire::Languages=none -o APT::Sandbox::User=root
  )
  mkdir -p lists/partial cache/archives/partial
  for mirror in $(mirrors); do
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite"
  done >sources.list
  apt-get -qq "${options[@]}" update >&2 </dev/null &&
    apt-get -qq "${options[@]}" download "etcd-server/$suite" "etcd-client/$suite" >&2 </dev/null ||
    return 1
  for package in ./*.deb; do
    # Their init scripts are called etcd, too.
    dpkg-deb --fsys-tarfile "$package" | tar -x ./usr/bin || return 1
  done
}

from_debian() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && [ -e "$keyring" ] || return 1
  setup_say "fetching etcd 3.5 from Debian 13's packages"
  etcd_fill newer-etcd-debian unpack_debian
}

if [ -n "${NEWER_ETCD:-}" ]; then
  is_newer "$NEWER_ETCD" && found "$NEWER_ETCD"
  setup_say "NEWER_ETCD ($NEWER_ETCD) is of no use, looking further"
fi
mkdir -p "$etcd_cache"
for dir in "$etcd_cache"/newer-etcd-*; do
  if is_newer "$dir"; then found "$dir"; fi
done
if from_debian && is_newer "$etcd_cache/newer-etcd-debian"; then
  found "$etcd_cache/newer-etcd-debian"
fi
if etcd_from_release "newer-etcd-$etcd_release" && is_newer "$etcd_cache/newer-etcd-$etcd_release"; then
  found "$etcd_cache/newer-etcd-$etcd_release"
fi
setup_say "no etcd 3.5: neither in Debian 13's packages nor from $etcd_release_url; a directory with one can be named by NEWER_ETCD"
exit 1
