#!/usr/bin/env bash
# Makes a serving certificate for etcd-guard by hand. Not needed where etcd-guard makes its own, or
# cert-manager does: see docs/certificates.md.
#
#   scripts/webhook-certs.sh [option]... DIRECTORY
#
# Leaves ca.crt, tls.crt and tls.key in DIRECTORY, for --tls-cert and --tls-key and for
# scripts/patch-ca-bundle.sh. Without --signer also ca.key: whoever has it can pose as the webhook.
#
#   -n, --namespace NS    of the Service (default etcd-guard)
#   --service NAME        (default etcd-guard)
#   --name NAME           one more DNS name or IP address (repeatable): where the API server goes by URL
#   --days N              how long tls.crt is to be valid (default 365)
#   --reuse-ca            sign with the ca.crt and ca.key that are in DIRECTORY: nothing else need change
#   --signer NAME         have it signed through the cluster's certificates.k8s.io API
#   --ca FILE             that signer's authority, which the API does not tell
#   --secret NAME         also store it as this Secret, of type kubernetes.io/tls
#   --help                this text
#
#   KUBECTL               which kubectl, with arguments if need be (default kubectl)
#
# --signer takes a signer that was installed for such certificates, for instance
# clusterissuers.cert-manager.io/NAME or beta.eks.amazonaws.com/app-serving. None of Kubernetes' own
# will do: they sign for kubelets and for clients of the API server, and kubernetes.io/legacy-unknown
# is gone from certificates.k8s.io/v1. The request is approved here, for which you need that right.
set -euo pipefail

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }
say() { printf 'webhook-certs.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
wrong_usage() { usage >&2; exit 2; }

namespace=etcd-guard service=etcd-guard days=365 reuse='' signer='' authority='' secret='' directory=''
more=()
while [ $# -gt 0 ]; do
  case "$1" in
    -n | --namespace | --service | --name | --days | --signer | --ca | --secret)
      [ $# -ge 2 ] || wrong_usage
      case "$1" in
        -n | --namespace) namespace="$2" ;;
        --service) service="$2" ;;
        --name) more+=("$2") ;;
        --days) days="$2" ;;
        --signer) signer="$2" ;;
        --ca) authority="$2" ;;
        --secret) secret="$2" ;;
      esac
      shift
      ;;
    --reuse-ca) reuse=1 ;;
    -h | --help) usage; exit 0 ;;
    -*) wrong_usage ;;
    *) [ -z "$directory" ] || wrong_usage; directory="$1" ;;
  esac
  shift
done
[ -n "$directory" ] || wrong_usage
[[ "$days" =~ ^[1-9][0-9]{0,4}$ ]] || die "--days must be a number of days (found '$days')"
case "$signer" in
  kubernetes.io/*)
    die "$signer does not sign for webhooks: leave --signer out, or name one that was installed for it"
    ;;
esac
if [ -n "$signer" ]; then
  [ -n "$authority" ] || die '--signer needs --ca FILE: the API does not tell the authority'
  [ -r "$authority" ] || die "$authority can't be read"
  [ -z "$reuse" ] || die '--signer and --reuse-ca exclude each other'
elif [ -n "$authority" ]; then
  die '--ca goes with --signer'
fi
read -ra kubectl <<<"${KUBECTL:-kubectl}"
command -v openssl >/dev/null || die 'openssl is not installed'
if [ -n "$signer$secret" ]; then
  command -v "${kubectl[0]}" >/dev/null || die "${kubectl[0]} is not installed"
fi

umask 077
mkdir -p "$directory"
work="$(mktemp -d "${TMPDIR:-/tmp}/webhook-certs.XXXXXX")"
request=''
cleanup() {
  rm -rf "$work"
  [ -z "$request" ] || "${kubectl[@]}" delete csr "$request" --ignore-not-found >/dev/null || true
}
trap cleanup EXIT

base="$service.$namespace"
names="DNS:$base.svc,DNS:$base.svc.cluster.local,DNS:$base,DNS:$service"
for name in ${more[@]+"${more[@]}"}; do
  if [[ "$name" =~ ^[0-9.]+$|: ]]; then names="$names,IP:$name"; else names="$names,DNS:$name"; fi
done
cat >"$work/extensions" <<END
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = $names
END

# quietly COMMAND...: its output only if it fails.
quietly() {
  "$@" >"$work/output" 2>&1 || { cat "$work/output" >&2; die "failed: $1 $2"; }
}

own_authority() {
  local one
  if [ -n "$reuse" ]; then
    for one in ca.crt ca.key; do
      [ -r "$directory/$one" ] || die "--reuse-ca: $directory/$one can't be read"
    done
    openssl x509 -in "$directory/ca.crt" -noout -checkend "$((days * 86400))" >/dev/null ||
      die "$directory/ca.crt expires within $days days: make a new one, without --reuse-ca"
    cp "$directory/ca.crt" "$directory/ca.key" "$work/"
    return
  fi
  quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 \
    -days "$((days > 3650 ? days : 3650))" -subj "/CN=etcd-guard by hand $(openssl rand -hex 4)" \
    -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
    -keyout "$work/ca.key" -out "$work/ca.crt"
}

sign_ourselves() {
  own_authority
  quietly openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" \
    -set_serial "0x$(openssl rand -hex 16)" -days "$days" -sha256 \
    -extfile "$work/extensions" -out "$work/tls.crt"
}

sign_by_cluster() {
  cp -- "$authority" "$work/ca.crt"
  request="$base-$(openssl rand -hex 4)"
  # expirationSeconds is known from 1.22 on; older servers ignore it.
  "${kubectl[@]}" create --validate=false -f - >/dev/null <<END || { request=''; die 'the request was not accepted'; }
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata:
  name: $request
spec:
  signerName: $signer
  expirationSeconds: $((days * 86400))
  usages: [digital signature, server auth]
  request: $(base64 <"$work/tls.csr" | tr -d '\n')
END
  "${kubectl[@]}" certificate approve "$request" >/dev/null || die "$request can't be approved"
  say "waiting for $signer to sign $request"
  local second
  for ((second = 0; second < 60; second++)); do
    "${kubectl[@]}" get csr "$request" -o 'jsonpath={.status.certificate}' >"$work/signed"
    if [ -s "$work/signed" ]; then
      base64 -d <"$work/signed" >"$work/tls.crt"
      return
    fi
    sleep 1
  done
  "${kubectl[@]}" get csr "$request" -o 'jsonpath={.status.conditions}' >&2 || true
  die "$signer has not signed within a minute: does anything in this cluster serve it?"
}

quietly openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 \
  -subj "/CN=$service" -addext "subjectAltName=$names" -keyout "$work/tls.key" -out "$work/tls.csr"
if [ -n "$signer" ]; then sign_by_cluster; else sign_ourselves; fi

# As the API server will check it.
openssl verify -CAfile "$work/ca.crt" -untrusted "$work/tls.crt" -purpose sslserver \
  -verify_hostname "$base.svc" "$work/tls.crt" >"$work/output" 2>&1 ||
  { cat "$work/output" >&2; die 'the certificate would not be accepted for the Service'; }

if [ -n "$secret" ]; then
  "${kubectl[@]}" -n "$namespace" create secret generic "$secret" --type=kubernetes.io/tls \
    --from-file="$work/ca.crt" --from-file="$work/tls.crt" --from-file="$work/tls.key" \
    --dry-run=client -o yaml | "${kubectl[@]}" apply -f - >/dev/null ||
    die "Secret $namespace/$secret was not written"
  say "stored as Secret $namespace/$secret"
fi
for one in ca.crt ca.key tls.crt tls.key; do
  if [ -e "$work/$one" ]; then cp "$work/$one" "$directory/$one"; fi
done
say "made $directory/tls.crt, $(openssl x509 -in "$work/tls.crt" -noout -enddate | sed 's/notAfter=/valid until /')"
