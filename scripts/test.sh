#!/usr/bin/env bash
# Sets up what is missing and runs the tests, on real etcd, Prometheus and Kubernetes.
#
#   scripts/test.sh [PART]...      all parts but `cluster` without arguments
#
#   check          format, lint, types, shell scripts, known faults of dependencies
#   unit           no processes: seconds
#   model          random searches for what the unit tests did not think of
#   integration    the built program, real etcd, real Prometheus, real Chromium
#   e2e            the same behind a real kube-apiserver, with real kubectl
#   chaos          half a minute of npm run chaos (docs/chaos.md)
#   demo           scripts/demo.sh, with Kubernetes and without
#   cluster        scripts/e2e-cluster.sh on a local kubernetes build; only when asked for: it takes
#                  root and seven minutes, on top of the ten of all other parts
#
#   --help         this text
#
# The first run on a machine may take long: npm packages, etcd and Prometheus from the
# system's packages (as root, else it says which), and a kube-apiserver, which on a Debian
# without a way to the official release is built from source in five minutes.
#
# The last line counts what was run. With CI set a missing program is a failure; otherwise it is
# named, and what needs it is left out: of integration and e2e whole files, each with a notice.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
cd "$root"
# shellcheck source=scripts/lib/setup.sh
. scripts/lib/setup.sh
# shellcheck source=scripts/lib/etcd.sh
. scripts/lib/etcd.sh

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }

parts=''
for argument in "$@"; do
  case "$argument" in
    check | unit | model | integration | e2e | chaos | demo | cluster) parts="$parts $argument" ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
[ -n "$parts" ] || parts=' check unit model integration e2e chaos demo'

runs() { case "$parts " in *" $1 "*) ;; *) return 1 ;; esac; }

if [ ! -t 1 ]; then
  export NO_COLOR=1
  unset FORCE_COLOR
fi

logs="$(mktemp -d "${TMPDIR:-/tmp}/etcd-guard-test.XXXXXX")"
passed=0
failed=0
left_out=0
# The part that runs beside the others: its process.
beside=''

# The runner's own end, however it comes: logs stay only where they are needed.
finish() {
  local code=$?
  if [ -n "$beside" ]; then
    kill -- "-$beside" 2>/dev/null || true
    wait "$beside" || true
  fi
  [ "$failed" -eq 0 ] || code=1
  if [ "$code" -eq 0 ]; then
    rm -rf "$logs"
  else
    printf '\nlogs: %s\n' "$logs"
  fi
  summary
  exit "$code"
}
summary() {
  local text="$passed passed, $failed failed"
  [ "$left_out" -eq 0 ] || text="$text, $left_out left out"
  printf '%s\n' "$text"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

heading() { printf '\n== %s\n' "$*"; }

# lacking WHAT: a failure in CI, elsewhere a notice; what needs it is left out.
lacking() {
  if [ -n "${CI:-}" ]; then
    printf 'FAIL missing: %s\n' "$1"
    failed=$((failed + 1))
  else
    printf 'NOTE missing: %s; what needs it is left out\n' "$1"
  fi
}
leave_out() {
  printf 'LEFT OUT %s\n' "$1"
  left_out=$((left_out + 1))
}

# step NAME COMMAND...: one test; its output is shown only if it fails.
step() {
  local name="$1" log="$logs/${1// /-}.log" start=$SECONDS
  shift
  if "$@" >"$log" 2>&1 </dev/null; then
    printf 'ok   %s (%d s)\n' "$name" $((SECONDS - start))
    passed=$((passed + 1))
  else
    printf 'FAIL %s (exit code %d, %d s)\n' "$name" $? $((SECONDS - start))
    failed=$((failed + 1))
    tail -n 100 "$log"
  fi
}

# beside PART: begins it, in a process group of its own; what it prints and counts is kept for `join`.
beside() {
  # Else the counts of the part before would stand for one that breaks off.
  rm -f "$logs/beside.counts"
  set -m
  alone "$1" >"$logs/beside.out" 2>&1 </dev/null &
  beside=$!
  set +m
}
alone() {
  trap - EXIT INT TERM
  passed=0 failed=0 left_out=0
  "${1}_part"
  printf '%s %s %s\n' "$passed" "$failed" "$left_out" >"$logs/beside.counts"
}
# join: waits for it, shows what it has printed, and counts it; if it broke off, that is a failure.
join() {
  local counts code=0
  wait "$beside" || code=$?
  beside=''
  cat "$logs/beside.out"
  counts="$(cat "$logs/beside.counts" 2>/dev/null || echo '0 1 0')"
  [ "$code" -eq 0 ] || printf 'FAIL it broke off (exit code %d)\n' "$code"
  # shellcheck disable=SC2086  # three numbers
  set -- $counts
  passed=$((passed + $1))
  failed=$((failed + $2))
  left_out=$((left_out + $3))
}

# suite PROJECT...: vitest's projects in one run; counts their tests by vitest's own report.
suite() {
  local name="$*" log report code=0 counts
  log="$logs/${name// /-and-}.log"
  report="${log%.log}.json"
  heading "${name// / and }"
  vitest run "${@/#/--project=}" --reporter=default --reporter=json --outputFile.json="$report" \
    </dev/null 2>&1 | tee "$log" || code=1
  counts="$(count "$report" "$code" 2>>"$log" || echo '0 1')"
  left_out=$((left_out + $(grep -c '^LEFT OUT ' "$log" || true)))
  # shellcheck disable=SC2086  # two numbers
  set -- $counts
  passed=$((passed + $1))
  failed=$((failed + $2))
}

# count REPORT CODE: "PASSED FAILED". A file that did not load, and an error outside of any test,
# count as one failure each. So does a test that was not run, as none may be skipped.
count() {
  node -e '
    const [file, code] = process.argv.slice(1);
    const report = JSON.parse(require("node:fs").readFileSync(file, "utf8"));
    const broken = report.testResults.filter(
      ({ status, assertionResults }) =>
        status === "failed" && !assertionResults.some((test) => test.status === "failed"),
    ).length;
    const failed = report.numFailedTests + broken + report.numPendingTests + report.numTodoTests;
    const unexplained = code !== "0" && failed === 0 ? 1 : 0;
    console.log(report.numPassedTests, failed + unexplained);
  ' "$1" "$2"
}

shell_scripts() {
  find scripts .ci -type f | while read -r file; do
    case "$(head -n 1 "$file")" in '#!'*bash | '# shellcheck shell=bash') printf '%s\n' "$file" ;; esac
  done
}

check_part() {
  heading check
  step format prettier --check .
  # oxlint takes CI for a terminal that knows colours.
  step lint env -u CI npm run --silent lint
  step types npm run --silent types
  if setup_programs shellcheck; then
    # shellcheck disable=SC2046  # our own file names hold no blanks
    step 'shell scripts' shellcheck -x $(shell_scripts)
  else
    lacking shellcheck
    leave_out 'shell scripts'
  fi
  audit_dependencies
}

# Known faults in what the program is made of. A registry that keeps no such list can't be asked;
# the workflow of .github asks one that does, and fails if it gets no answer.
audit_dependencies() {
  local name='dependencies have no known serious faults' log="$logs/audit.log"
  if npm audit --omit=dev --audit-level=high >"$log" 2>&1 </dev/null; then
    printf 'ok   %s\n' "$name"
    passed=$((passed + 1))
  elif grep -q 'audit endpoint returned an error' "$log"; then
    printf 'NOTE not asked whether %s: this registry does not answer npm audit\n' "$name"
  else
    printf 'FAIL %s\n' "$name"
    failed=$((failed + 1))
    tail -n 100 "$log"
  fi
}

chaos_part() {
  heading chaos
  if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    step 'chaos, half a minute' npm run --silent chaos -- --seed 1 --seconds 30 \
      --history "$logs/chaos.jsonl"
  else
    leave_out 'chaos, half a minute'
  fi
}

demo_part() {
  heading demo
  if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    step 'demo with Kubernetes' demo_with_kubernetes
  else
    leave_out 'demo with Kubernetes'
  fi
  step 'demo without Kubernetes' scripts/demo.sh --no-kubernetes
}

# Without Kubernetes at hand the demo goes on without, which is not what is tested here.
demo_with_kubernetes() {
  local out="$logs/demo.out"
  scripts/demo.sh | tee "$out" &&
    grep -q '^\$ kubectl delete pod' "$out" &&
    grep -Eq '^etcd +etcd-[0-9] +3/3 ' "$out"
}

# Minutes long, so its progress is shown.
cluster_part() {
  local code=0
  heading cluster
  scripts/e2e-cluster.sh </dev/null 2>&1 | tee "$logs/cluster.log" || code=$?
  case "$code" in
    0) passed=$((passed + 1)) ;;
    3) lacking 'a local kubernetes build (scripts/e2e-cluster.sh --help)'; leave_out 'whole cluster' ;;
    *) failed=$((failed + 1)) ;;
  esac
}

needs_kubernetes() { runs e2e || runs chaos || runs demo; }
needs_processes() { runs integration || needs_kubernetes; }

setup_node || { failed=1; exit 1; }
if needs_processes; then
  setup_etcd || lacking 'etcd and etcdctl'
  setup_programs prometheus promtool || lacking 'prometheus and promtool'
  command -v google-chrome >/dev/null || setup_programs chromium || lacking 'chromium'
  setup_programs tmux zsh fish || lacking 'tmux, zsh and fish'
fi
if runs integration || runs e2e; then setup_programs openssl || lacking openssl; fi
if runs e2e; then setup_programs jq || lacking jq; fi
if runs integration; then
  if NEWER_ETCD="$(scripts/newer-etcd.sh)"; then
    export NEWER_ETCD
  else
    unset NEWER_ETCD
    lacking 'a newer etcd (scripts/newer-etcd.sh says why)'
  fi
fi
if needs_kubernetes; then
  if KUBEBUILDER_ASSETS="$(scripts/kubernetes.sh)"; then
    export KUBEBUILDER_ASSETS
  else
    unset KUBEBUILDER_ASSETS
    lacking 'Kubernetes (scripts/kubernetes.sh says why)'
  fi
fi

# Unit tests wait, in the end, more than they work.
if runs check; then beside check; fi
if runs unit; then suite unit; fi
if runs check; then join; fi
if runs model; then suite model; fi
# Together, as each waits while the other works.
together=()
for project in integration e2e; do
  if runs "$project"; then together+=("$project"); fi
done
if [ "${#together[@]}" -gt 0 ]; then suite "${together[@]}"; fi
# Chaos waits more than it works.
if runs chaos; then beside chaos; fi
if runs demo; then demo_part; fi
if runs chaos; then join; fi
if runs cluster; then cluster_part; fi
printf '\n%s in %d s\n' "${parts# }" "$SECONDS"
