#!/usr/bin/env bash
# Makes an authority and the three Secrets that components/tls asks for, with openssl and kubectl.
# Run again it renews the certificates under the same authority, which it keeps in DIR; etcd and the
# guard take up the new ones without a restart.
#
#   deploy/etcd/components/tls/make-certificates.sh [DIR]
#
#   DIR          where the authority's key and the certificates are kept (default ./etcd-certificates);
#                whoever reads ca.key in there can read and write all of etcd
#   NAMESPACE    the namespace of etcd (default etcd); made if it does not exist
#   DAYS         how long the certificates are valid (default 365); the authority: ten years
#   DRY_RUN=1    only makes the files
#   KUBECTL      which kubectl, with arguments if need be (default kubectl)
set -euo pipefail

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }
case "${1:-}" in -h | --help) usage; exit 0 ;; esac

directory="${1:-./etcd-certificates}"
namespace="${NAMESPACE:-etcd}"
days="${DAYS:-365}"
domain="etcd.$namespace.svc"

read -ra kubectl <<<"${KUBECTL:-kubectl}"

say() { printf 'make-certificates.sh: %s\n' "$*" >&2; }
for tool in openssl "${kubectl[0]}"; do
  if [ "$tool" != openssl ] && [ -n "${DRY_RUN:-}" ]; then continue; fi
  command -v "$tool" >/dev/null || { say "$tool is not installed"; exit 1; }
done

umask 077
mkdir -p "$directory"
cd "$directory"

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

if [ ! -e ca.key ] || [ ! -e ca.crt ]; then
  say "making an authority in $PWD"
  new_key ca
  openssl req -x509 -new -key ca.key -subj "/CN=etcd-ca" -days 3650 -out ca.crt
fi

# issue NAME USAGES ALTERNATIVE-NAMES
issue() {
  new_key "$1"
  openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
  {
    echo 'basicConstraints=critical,CA:FALSE'
    echo 'keyUsage=critical,digitalSignature'
    echo "extendedKeyUsage=$2"
    if [ -n "$3" ]; then echo "subjectAltName=$3"; fi
  } >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days "$days" \
    -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  rm "$1.csr" "$1.ext"
}

# By name and not by wildcard: etcd looks each name up and compares it with the peer's address. Five,
# so that a cluster of three can grow.
members=''
for ordinal in 0 1 2 3 4; do members+="DNS:etcd-$ordinal.$domain,"; done

issue etcd-peer serverAuth,clientAuth "${members%,}"
issue etcd-server serverAuth,clientAuth "${members}DNS:etcd-client.$namespace.svc,DNS:localhost,IP:127.0.0.1"
issue etcd-client clientAuth ''
say "certificates are in $PWD, valid for $days days"
[ -z "${DRY_RUN:-}" ] || exit 0

"${kubectl[@]}" get namespace "$namespace" >/dev/null 2>&1 ||
  "${kubectl[@]}" create namespace "$namespace" --save-config
for name in peer server client; do
  "${kubectl[@]}" create secret generic "etcd-$name-tls" -n "$namespace" --type=kubernetes.io/tls \
    --from-file=ca.crt --from-file=tls.crt="etcd-$name.crt" --from-file=tls.key="etcd-$name.key" \
    --dry-run=client -o yaml | "${kubectl[@]}" apply -f -
done
