#!/usr/bin/env bash
# Shows what etcd-guard does, on real parts: a three-member etcd, the guard over TLS and,
# where there is one, a real kube-apiserver with real kubectl, watched by Prometheus.
# Every claim that it prints has been checked; it takes less than a minute.
#
#   scripts/demo.sh [--keep] [--no-kubernetes]
#
#   --keep             leaves all of it running at the end, with commands to try, until Ctrl-C
#   --no-kubernetes    posts the reviews that an API server would send, even if there is one
#   --help             this text
#
# The first run installs npm packages, builds, and fetches etcd if there is none. Nothing
# is left behind but those: processes and files of the demo go when it ends, however that
# happens. Exit code: 0 if everything came out as announced, 1 if something did not.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }

for argument in "$@"; do
  case "$argument" in
    --keep | --no-kubernetes) ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

# shellcheck source=scripts/lib/setup.sh
. "$root/scripts/lib/setup.sh"
# shellcheck source=scripts/lib/etcd.sh
. "$root/scripts/lib/etcd.sh"
# shellcheck source=scripts/lib/build.sh
. "$root/scripts/lib/build.sh"
# npm would leave one in the temporary directory.
export NODE_DISABLE_COMPILE_CACHE=1
setup_node
setup_etcd
setup_build

# In place of this shell, so that Ctrl-C and other signals reach what has to clean up.
exec node "$root/scripts/demo/main.ts" "$@"
