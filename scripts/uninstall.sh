#!/usr/bin/env bash
# Takes etcd-guard out of a cluster. The webhook configurations go first: from then on nothing is
# refused any more, whatever becomes of the rest. Safe to run again, and on what is only half there.
# Pods of etcd and their data are not touched; those that were injected into are counted at the end.
#
#   scripts/uninstall.sh [--keep-guards] [--dry-run]
#
#   --keep-guards   leave what was set up per etcd cluster: the EtcdGuards, the ExclusiveLocks and their
#                   definitions, labels, and the rights to their Secrets. Installed again, the same
#                   clusters are guarded
#   --dry-run       only print the commands
#   --help          this text
#
#   KUBECTL         which kubectl, with arguments if need be (default kubectl)
#
# Before: note that without --keep-guards all EtcdGuards and ExclusiveLocks of the cluster are deleted.
set -euo pipefail

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }
say() { printf 'uninstall.sh: %s\n' "$*" >&2; }

keep_guards='' dry_run=''
for argument in "$@"; do
  case "$argument" in
    --keep-guards) keep_guards=1 ;;
    --dry-run) dry_run=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
read -ra kubectl <<<"${KUBECTL:-kubectl}"
command -v "${kubectl[0]}" >/dev/null || { say "${kubectl[0]} is not installed"; exit 1; }

failed=''
# run WHAT ARGUMENT...: one step. What fails is said and the next step tried all the same.
run() {
  local what="$1"
  shift
  if [ -n "$dry_run" ]; then printf '%s\n' "${kubectl[*]} $*"; return; fi
  "${kubectl[@]}" "$@" || { say "failed: $what"; failed=1; }
}

# serves TYPE: whether the server knows such objects; one that it does not know is not there either.
serves() { [ -n "$dry_run" ] || "${kubectl[@]}" get "$1" -A --ignore-not-found >/dev/null 2>&1; }

if [ -z "$dry_run" ]; then
  "${kubectl[@]}" get namespaces >/dev/null || { say 'the API server does not answer: nothing was changed'; exit 1; }
fi

run 'the webhook configurations: pods, and what is locked, may still be refused' \
  delete validatingwebhookconfiguration etcd-guard etcd-guard-locks --ignore-not-found
if [ -n "$failed" ]; then
  say 'stopping here: without a guard, but with its webhook configuration, etcd pods could not be deleted'
  exit 1
fi

# Injection (deploy/webhook/components/injection), where it was added: pods are made as they are from now on.
run 'the mutating webhook configuration' delete mutatingwebhookconfiguration etcd-guard-injection --ignore-not-found

# The companion floor (deploy/webhook/components/role-floor), where it was added.
for type in validatingadmissionpolicybinding validatingadmissionpolicy; do
  if serves "$type"; then run "the $type" delete "$type" leader-floor.etcd-guard.io --ignore-not-found; fi
done

run 'the namespace etcd-guard' delete namespace etcd-guard --ignore-not-found
run 'the cluster-wide rights' delete clusterrolebinding,clusterrole --ignore-not-found \
  etcd-guard etcd-guard-certificate etcd-guard-role-labels etcd-guard-injection \
  etcd-guard-locks etcd-guard-locks-webhook

if [ -z "$keep_guards" ]; then
  run 'the rights to Secrets' delete rolebinding,role -A --field-selector=metadata.name=etcd-guard-secrets
  run 'the EtcdGuards and their definition' delete crd etcdguards.etcd-guard.io --ignore-not-found
  run 'the ExclusiveLocks and their definition' delete crd exclusivelocks.etcd-guard.io --ignore-not-found
  for label in etcd-guard.io/protect etcd-guard.io/lock; do
    run 'the labels on namespaces' label namespaces -l "$label" "$label-"
  done
  # One namespace after another: label knows no -A before kubectl 1.21.
  namespaces=()
  if [ -n "$dry_run" ]; then
    namespaces=(NAMESPACE)
  else
    read -ra namespaces < <("${kubectl[@]}" get pods -A -l etcd-guard.io/role \
      -o 'jsonpath={.items[*].metadata.namespace}' | tr ' ' '\n' | sort -u | tr '\n' ' ') || true
  fi
  for namespace in ${namespaces[@]+"${namespaces[@]}"}; do
    run 'the labels on pods' label pods -n "$namespace" -l etcd-guard.io/role etcd-guard.io/role-
  done
fi

if [ -n "$failed" ]; then say 'not all of it is gone: see above, then run this again'; exit 1; fi
if [ -n "$dry_run" ]; then exit 0; fi

left=', and nothing of it is left'
# What a pod was given when it was made can't be taken out of it.
if ! injected="$("${kubectl[@]}" get pods -A -l etcd-guard.io/injected -o name)"; then
  say 'the pods could not be read: whether some keep what was injected into them is not known'
  left=''
elif [ -n "$injected" ]; then
  say "pods that keep what was injected into them until they are replaced: $(wc -l <<<"$injected" | tr -d ' '). They have the"
  say 'label etcd-guard.io/injected and, as far as it was asked for, volumes etcd-guard-… and the readiness gate'
  say 'etcd-guard.io/InSync; one that still waits at the gate has to be deleted. To see them:'
  say "  ${kubectl[*]} get pods -A -l etcd-guard.io/injected"
  left=', and nothing else of it is left'
fi
[ -z "$keep_guards" ] || left='; the EtcdGuards are still there, and guard nothing'
say "etcd-guard is gone$left"
