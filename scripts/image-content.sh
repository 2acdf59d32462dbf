#!/usr/bin/env bash
# Runs the Dockerfile's build stage without a container and says how large our part of the image is:
# what the Dockerfile copies besides Node and the base. Exits with 1 if that is more than 5 MB compressed.
#
#   scripts/image-content.sh [DIR]
#
#   DIR      leave what would be copied in here, as it stands in the image (default: thrown away)
#   --help   this text
#
# The commands are the RUN lines of the Dockerfile, on a copy of the files that .dockerignore lets in.
set -euo pipefail

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }
case "${1:-}" in -h | --help) usage; exit 0 ;; esac

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
limit=5000000
export PATH="$root/node_modules/.bin:$PATH"

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
context="$scratch/context" content="${1:-$scratch/content}"
mkdir -p "$context" "$content/app"

# .dockerignore shuts everything out and lets single names in.
sed -n 's/^!//p' "$root/.dockerignore" | while read -r name; do cp -R "$root/$name" "$context/"; done

# The RUN lines of the build stage, without what only an image builder knows.
sed -n '/ AS build$/,/^FROM .* AS node$/s/^RUN \(--mount=[^ ]* \)*//p' "$root/Dockerfile" >"$scratch/commands"
grep -q . "$scratch/commands" || { echo 'image-content.sh: found no RUN line in the Dockerfile' >&2; exit 1; }
while read -r command; do
  printf 'image-content.sh: %s\n' "$command" >&2
  (cd "$context" && bash -euc "$command") >&2
done <"$scratch/commands"

cp -R "$context/dist" "$content/app/dist"
cp "$root/LICENSE" "$root/package.json" "$content/app/"

plain="$(tar -C "$content" -cf - app | wc -c)"
compressed="$(tar -C "$content" -cf - app | gzip -9 | wc -c)"
printf 'ours: %d bytes, %d compressed (at most %d)\n' "$plain" "$compressed" "$limit"
[ "$compressed" -le "$limit" ]
