# shellcheck shell=bash
# Finds etcd and etcdctl, or fetches them into a cache: nothing is installed where that
# can be avoided, as packages of etcd start a server. Sourced after setup.sh.

etcd_release=3.6.16
etcd_release_url="${ETCD_DOWNLOAD:-https://github.com/etcd-io/etcd/releases/download}"
etcd_cache="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/etcd-guard"

# setup_etcd: etcd and etcdctl in the PATH. The first that has them: the PATH, the cache,
# the archive of Debian or Ubuntu (unpacked, not installed), dnf, brew, the official release.
setup_etcd() {
  local dir way
  etcd_there && return 0
  for dir in "$etcd_cache"/etcd-*; do
    etcd_use "$dir" && return 0
  done
  mkdir -p "$etcd_cache"
  for way in debian dnf brew release; do
    if "etcd_from_$way" && etcd_there; then return 0; fi
  done
  setup_say "no etcd: not in the PATH, nor from a package manager, nor from $etcd_release_url"
  return 1
}

etcd_there() { command -v etcd >/dev/null && command -v etcdctl >/dev/null; }

etcd_use() {
  "$1/etcd" --version >/dev/null 2>&1 || return 1
  "$1/etcdctl" version >/dev/null 2>&1 || return 1
  export PATH="$1:$PATH"
}

# etcd_fill NAME COMMAND...: runs the command in a scratch directory and moves the two
# programs that it leaves there, wherever, into the cache under that name.
etcd_fill() {
  local name="$1" part
  shift
  part="$(mktemp -d "$etcd_cache/part.XXXXXX")"
  # In a shell of its own, for the traps.
  (
    trap 'rm -rf "$part"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    cd "$part" && "$@" && mkdir -p "$etcd_cache/$name" || exit 1
    # Each appears as a whole, so another run at the same time does no harm.
    find . -type f \( -name etcd -o -name etcdctl \) -exec mv -f {} "$etcd_cache/$name/" ';'
  ) || return 1
  etcd_use "$etcd_cache/$name"
}

etcd_from_debian() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  setup_say "fetching etcd from the system's package archive"
  etcd_fill etcd-debian etcd_unpack_debian
}

etcd_unpack_debian() {
  local package
  # Fresh containers have no package lists.
  etcd_apt_download || { etcd_as_root apt-get -qq update && etcd_apt_download; } || return 1
  for package in ./*.deb; do
    # Without the init script and its settings, which are called etcd, too.
    dpkg-deb --fsys-tarfile "$package" | tar -x ./usr/bin || return 1
  done
}

# Root would download as another user, who can't write here, and says so at length.
etcd_apt_download() {
  apt-get -qq -o APT::Sandbox::User=root download etcd-server etcd-client >/dev/null 2>&1 </dev/null
}

etcd_from_dnf() {
  command -v dnf >/dev/null || return 1
  setup_say 'installing etcd with dnf'
  etcd_as_root dnf install -y -q etcd >/dev/null 2>&1 </dev/null
}

etcd_from_brew() {
  command -v brew >/dev/null || return 1
  setup_say 'installing etcd with brew'
  HOMEBREW_NO_AUTO_UPDATE=1 brew install --quiet etcd >/dev/null 2>&1 </dev/null
}

etcd_as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -n "$@" 2>/dev/null
  else
    return 1
  fi
}

# etcd_from_release [NAME]: into the cache under that name.
etcd_from_release() {
  local system arch
  case "$(uname -s)" in
    Linux) system=linux ;;
    Darwin) system=darwin ;;
    *) return 1 ;;
  esac
  case "$(uname -m)" in
    x86_64 | amd64) arch=amd64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) return 1 ;;
  esac
  setup_say "downloading etcd $etcd_release"
  etcd_fill "${1:-etcd-$etcd_release}" etcd_unpack_release "$system-$arch"
}

etcd_unpack_release() {
  local archive="etcd-v$etcd_release-$1.tar.gz" digest
  case "$1" in darwin-*) archive="etcd-v$etcd_release-$1.zip" ;; esac
  etcd_fetch SHA256SUMS && etcd_fetch "$archive" || return 1
  digest="$(awk -v name="$archive" '$2 == name { print $1 }' SHA256SUMS)"
  if [ -z "$digest" ] || [ "$digest" != "$(etcd_sha256 "$archive")" ]; then
    setup_say "$archive is not what its published checksum says"
    return 1
  fi
  case "$archive" in
    *.zip) unzip -q "$archive" ;;
    *) tar -xzf "$archive" ;;
  esac
}

# Gives up within seconds where there is no way out.
etcd_fetch() {
  local url="$etcd_release_url/v$etcd_release/$1"
  if command -v curl >/dev/null; then
    curl -fsSL --connect-timeout 4 --speed-limit 1000 --speed-time 15 -o "$1" "$url" 2>/dev/null
  else
    wget -q --tries=1 --dns-timeout=4 --connect-timeout=4 --read-timeout=15 -O "$1" "$url"
  fi
}

etcd_sha256() {
  local digest
  if command -v sha256sum >/dev/null; then
    digest="$(sha256sum "$1")"
  else
    digest="$(shasum -a 256 "$1")"
  fi
  printf '%s\n' "${digest%% *}"
}
