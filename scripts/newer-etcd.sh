#!/usr/bin/env bash
# Provides an etcd one minor version newer than the installed one, as etcd is upgraded one at a time, and
# prints the directory that has its etcd and etcdctl: the only line on stdout, progress goes to stderr.
#
#   scripts/newer-etcd.sh
#
#   --help       this text
#
# The first of these that has it and runs:
#
#   1. the directory that NEWER_ETCD names
#   2. the cache of earlier downloads
#   3. the packages of Debian 13, from the mirrors of this machine's apt sources: unpacked, not installed
#   4. the official release, its published checksums verified
#
# 2 to 4 have etcd 3.5, so they are of use only where the installed one is 3.4.
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

# Where the tests look for etcd, too, if it is nowhere else.
PATH="$PATH${KUBEBUILDER_ASSETS:+:$KUBEBUILDER_ASSETS}"

# version_of ETCD: as 3.4.23; nothing if it does not run.
version_of() { "$1" --version 2>/dev/null | sed -n 's/^etcd Version: \([0-9][0-9.]*\).*/\1/p'; }

is_newer() {
  case "$(version_of "$1/etcd")" in
    "$wanted".*) "$1/etcdctl" version >/dev/null 2>&1 ;;
    *) return 1 ;;
  esac
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

installed="$(version_of etcd || true)"
case "$installed" in
  3.*.*) ;;
  '') setup_say 'no etcd is installed, which the newer one is to be newer than'; exit 1 ;;
  *) setup_say "the installed etcd is $installed; which version comes next is known for 3.x only"; exit 1 ;;
esac
minor="${installed#3.}"
wanted="3.$((${minor%%.*} + 1))"

if [ -n "${NEWER_ETCD:-}" ]; then
  is_newer "$NEWER_ETCD" && found "$NEWER_ETCD"
  setup_say "NEWER_ETCD ($NEWER_ETCD) has no etcd $wanted, which follows the installed $installed; looking further"
fi
case "$etcd_release" in
  "$wanted".*) ;;
  *)
    setup_say "the installed etcd is $installed, whose next minor version is $wanted;" \
      "only $etcd_release can be fetched here, but NEWER_ETCD can name a directory with $wanted"
    exit 1
    ;;
esac
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
setup_say "no etcd $wanted: neither in Debian 13's packages nor from $etcd_release_url; NEWER_ETCD can name a directory with it"
exit 1
