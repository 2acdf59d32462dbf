#!/usr/bin/env bash
# Writes the authority that the API server has to trust into the webhooks of etcd-guard.
# The guard does that by itself unless it is given --tls-cert; this is for then, and for whoever does
# not let it write webhook configurations.
#
#   scripts/patch-ca-bundle.sh [CA_FILE] [option]...
#
#   CA_FILE               PEM, one certificate or several; without it ca.crt of the Secret
#   --secret NAME         (default etcd-guard-tls)
#   -n, --namespace NS    of the Secret and of the Service (default etcd-guard)
#   --service NAME        (default etcd-guard)
#   --configuration NAME  the ValidatingWebhookConfiguration (default etcd-guard)
#   --check               change nothing; exit code 3 if there is something to change
#   --help                this text
#
#   KUBECTL               which kubectl, with arguments if need be (default kubectl)
#
# All webhooks of the configuration are written, except those that name another Service. To replace an
# authority without a gap: first write the old and the new one together, then serve the new
# certificate, then write the new one alone.
set -euo pipefail

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }
say() { printf 'patch-ca-bundle.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

file='' secret=etcd-guard-tls namespace=etcd-guard service=etcd-guard configuration=etcd-guard check=''
while [ $# -gt 0 ]; do
  case "$1" in
    --secret | -n | --namespace | --service | --configuration)
      [ $# -ge 2 ] || { usage >&2; exit 2; }
      case "$1" in
        --secret) secret="$2" ;;
        -n | --namespace) namespace="$2" ;;
        --service) service="$2" ;;
        --configuration) configuration="$2" ;;
      esac
      shift
      ;;
    --check) check=1 ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) [ -z "$file" ] || { usage >&2; exit 2; }; file="$1" ;;
  esac
  shift
done
read -ra kubectl <<<"${KUBECTL:-kubectl}"
for program in "${kubectl[0]}" openssl base64; do
  command -v "$program" >/dev/null || die "$program is not installed"
done

work="$(mktemp -d "${TMPDIR:-/tmp}/patch-ca-bundle.XXXXXX")"
trap 'rm -rf "$work"' EXIT

if [ -n "$file" ]; then
  [ -r "$file" ] || die "$file can't be read"
  from="$file"
  cat -- "$file" >"$work/ca.crt"
else
  from="ca.crt of Secret $namespace/$secret"
  "${kubectl[@]}" -n "$namespace" get secret "$secret" \
    -o 'jsonpath={.data.ca\.crt}' >"$work/ca.b64" || die "Secret $namespace/$secret can't be read"
  base64 -d <"$work/ca.b64" >"$work/ca.crt" || die "$from is not base64"
fi

# What is not an authority that is valid now is refused: with it the API server could reach no guard.
if grep -q -- '-----BEGIN .*PRIVATE KEY-----' "$work/ca.crt"; then
  die "$from holds a private key, which must not go into a webhook configuration"
fi
awk -v work="$work" '
  /-----BEGIN CERTIFICATE-----/ { n++; inside = 1 }
  inside { print > (work "/" n ".pem") }
  /-----END CERTIFICATE-----/ { inside = 0 }
' "$work/ca.crt"
valid=0
for one in "$work"/*.pem; do
  [ -e "$one" ] || die "$from holds no PEM certificate"
  subject="$(openssl x509 -in "$one" -noout -subject -nameopt RFC2253 2>/dev/null)" ||
    die "$from: certificate $(basename "$one" .pem) can't be read"
  openssl x509 -in "$one" -noout -ext basicConstraints 2>/dev/null | grep -q 'CA:TRUE' ||
    die "$from: ${subject#subject=} is no authority"
  if openssl x509 -in "$one" -noout -checkend 0 >/dev/null; then
    valid=1
  else
    say "note: ${subject#subject=} has expired"
  fi
done
[ "$valid" -eq 1 ] || die "$from: all of it has expired"
bundle="$(cat "$work"/*.pem | base64 | tr -d '\n')"

# One line a webhook: its place, name, Service and caBundle; an empty field is a dash.
# shellcheck disable=SC2016  # the template's own variables
"${kubectl[@]}" get validatingwebhookconfiguration "$configuration" -o go-template='
{{- range $place, $webhook := .webhooks -}}
{{ $place }} {{ $webhook.name }} {{ with $webhook.clientConfig.service }}{{ .namespace }}/{{ .name }}{{ else }}-{{ end }} {{ with $webhook.clientConfig.caBundle }}{{ . }}{{ else }}-{{ end }}
{{ end -}}' >"$work/webhooks" ||
  die "ValidatingWebhookConfiguration $configuration can't be read"

operations='' ours=0 wrong=0
while read -r place name target now; do
  [ -n "$place" ] || continue
  if [ "$target" != - ] && [ "$target" != "$namespace/$service" ]; then
    say "left alone: webhook $name, which is for Service $target"
    continue
  fi
  ours=$((ours + 1))
  if [ "$now" = "$bundle" ]; then continue; fi
  wrong=$((wrong + 1))
  # The test fails if the list has changed meanwhile; "add" replaces what is there.
  operations="$operations${operations:+,}
    {\"op\": \"test\", \"path\": \"/webhooks/$place/name\", \"value\": \"$name\"},
    {\"op\": \"add\", \"path\": \"/webhooks/$place/clientConfig/caBundle\", \"value\": \"$bundle\"}"
done <"$work/webhooks"

[ "$ours" -gt 0 ] ||
  die "no webhook of $configuration names Service $namespace/$service or a URL"
if [ "$wrong" -eq 0 ]; then
  say "nothing to change: $ours of $configuration trust $from"
  exit 0
fi
if [ -n "$check" ]; then
  say "$wrong of $ours in $configuration do not trust exactly $from"
  exit 3
fi
printf '[%s]\n' "$operations" >"$work/patch.json"
"${kubectl[@]}" patch validatingwebhookconfiguration "$configuration" --type=json \
  --patch "$(cat "$work/patch.json")" >/dev/null ||
  die "ValidatingWebhookConfiguration $configuration was not changed"
say "$wrong of $ours in $configuration now trust $from"
