# shellcheck shell=bash
# What the scripts beside this folder need and a fresh machine lacks. Sourced; the
# caller sets `root` to the repository. Everything said goes to stderr.

: "${root:?}"

setup_say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# A plain user's PATH on Debian has no sbin, where etcd may be.
PATH="$PATH:/usr/local/sbin:/usr/sbin"

# setup_node: node_modules as package-lock.json has them, and the pinned Node in the PATH.
setup_node() {
  command -v npm >/dev/null || setup_programs npm || return 1
  (
    cd "$root" || exit 1
    # Two scripts may be started at once, and npm ci begins by removing everything.
    if command -v flock >/dev/null; then
      exec 8<package-lock.json
      flock 8
    fi
    setup_modules_are_current && exit 0
    setup_say 'installing npm packages (once)'
    npm ci --no-audit --no-fund --loglevel=error >&2 8<&-
  ) || { setup_say 'npm could not install the packages'; return 1; }
  export PATH="$root/node_modules/.bin:$PATH"
}

# By content: file times say nothing after a checkout or an npm install.
setup_modules_are_current() {
  [ -x node_modules/.bin/node ] && [ -e node_modules/.package-lock.json ] &&
    node_modules/.bin/node -e '
      const packages = (file) => JSON.parse(require("node:fs").readFileSync(file, "utf8")).packages;
      const there = packages("node_modules/.package-lock.json");
      const same = ([path, { optional, integrity }]) =>
        path === "" || optional || there[path]?.integrity === integrity;
      process.exit(Object.entries(packages("package-lock.json")).every(same) ? 0 : 1);' 2>/dev/null
}

# setup_programs PROGRAM...: installs those that are missing from the system's packages,
# or says how to get them and returns 1.
setup_programs() {
  local name missing='' packages=''
  for name in "$@"; do
    command -v "$name" >/dev/null || missing="$missing $name"
  done
  [ -n "$missing" ] || return 0
  if command -v apt-get >/dev/null; then
    packages="$(setup_packages_for apt "$missing")"
    if [ "$(id -u)" -eq 0 ]; then
      setup_say "installing$packages"
      setup_apt_install "$packages" >&2 || setup_say "apt-get could not install$packages"
    fi
  elif command -v brew >/dev/null; then
    packages="$(setup_packages_for brew "$missing")"
    setup_say "installing$packages"
    # shellcheck disable=SC2086  # a list of words
    brew install --quiet $packages >&2 || setup_say "brew could not install$packages"
  fi
  setup_still_missing "$missing" "$packages"
}

setup_still_missing() {
  local name absent=''
  for name in $1; do
    command -v "$name" >/dev/null || absent="$absent $name"
  done
  [ -n "$absent" ] || return 0
  if command -v apt-get >/dev/null; then
    setup_say "missing:$absent; to get them: sudo apt-get install$2"
  else
    setup_say "missing:$absent; install them with your system's package manager"
  fi
  return 1
}

# setup_packages_for apt|brew "PROGRAM...": each package once, each after a space.
setup_packages_for() {
  local name package all=''
  for name in $2; do
    case "$1/$name" in
      brew/npm) package=node ;;
      */promtool) package=prometheus ;;
      *) package="$name" ;;
    esac
    case "$all " in *" $package "*) ;; *) all="$all $package" ;; esac
  done
  printf '%s\n' "$all"
}

# In a shell of its own, for the trap. The packages must not start their services: ports
# would be taken, and a test machine needs none of them.
setup_apt_install() (
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt_get() { apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null; }
  # shellcheck disable=SC2086  # a list of words
  apt_get install -y --no-install-recommends $1 2>/dev/null || {
    apt_get update
    apt_get install -y --no-install-recommends $1
  }
)
