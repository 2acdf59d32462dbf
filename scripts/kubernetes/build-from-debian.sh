#!/usr/bin/env bash
# Builds kube-apiserver, kube-controller-manager and kubectl from Debian 12's
# kubernetes source package, with nothing but Debian's own archive.
#
#   build-from-debian.sh DIRECTORY VERSION
#
# Called by ../kubernetes.sh, which holds the directory's lock. What is in the
# directory and runs is kept. The mirror is the one that this machine's apt
# sources name; /etc/apt stays as it is. About 3 GB of room are used meanwhile.
set -euo pipefail

target="$(cd "$1" && pwd -P)"
version="$2"
suite=bookworm
packages=(golang-go dpkg-dev patch golang-github-modern-go-reflect2-dev)

say() { printf 'kubernetes.sh [%3ds]: %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'kubernetes.sh: %s\n' "$*" >&2; exit 1; }

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  die 'no kube-apiserver: this build is for Debian, and the official release could not be had'
fi

todo=()
for name in kube-apiserver kube-controller-manager kubectl; do
  if [ -x "$target/$name" ]; then say "$name is there already"; else todo+=("$name"); fi
done
[ ${#todo[@]} -gt 0 ] || exit 0

# --- the mirror ----------------------------------------------------------------

# apt itself is asked which of its sources serves bookworm/main: that works for
# every format and place of source lists.
# shellcheck disable=SC2016  # apt-get fills these in
mirrors="$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
  awk -v suite="$suite" '($2 == suite || $3 == suite) && $NF == "main" && !seen[$1]++ { print $1 }')"
[ -n "$mirrors" ] ||
  die "no kube-apiserver: this machine's apt sources have no Debian 12 ($suite/main) to build it from"

# --- tools ---------------------------------------------------------------------

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
missing=()
for name in "${packages[@]}"; do installed "$name" || missing+=("$name"); done
if [ ${#missing[@]} -gt 0 ]; then
  install=(apt-get install --yes --no-install-recommends "${missing[@]}")
  [ "$(id -u)" = 0 ] || die "the build needs packages that root has to install: sudo ${install[*]}"
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # On a fresh machine the package lists are missing or old.
  "${install[@]}" -qq >&2 || { apt-get update -qq >&2 && "${install[@]}" -qq >&2; } ||
    die "could not install ${missing[*]}"
fi

# --- the source ----------------------------------------------------------------

work="$target/.work"
remove_work() {
  # Go's caches are read-only.
  chmod -R u+w "$work" 2>/dev/null || true
  rm -rf "$work"
}
remove_work
trap remove_work EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$work"/{apt/lists/partial,apt/archives/partial,apt/parts,source,go/src/k8s.io,bin}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
signed=''
[ ! -f "$keyring" ] || signed="[signed-by=$keyring] "
while read -r mirror; do
  printf 'deb-src %s%s %s main\n' "$signed" "$mirror" "$suite"
done <<<"$mirrors" >"$work/apt/sources.list"

apt=(
  apt-get
  -o "Dir::Etc::SourceList=$work/apt/sources.list" -o "Dir::Etc::SourceParts=$work/apt/parts"
  -o "Dir::State::Lists=$work/apt/lists" -o "Dir::Cache=$work/apt"
  # The directory is ours, not the user's that apt would switch to.
  -o "APT::Sandbox::User=$(id -un)"
)
say "fetching the kubernetes source package ($(head -n 1 <<<"$mirrors"))"
"${apt[@]}" update -qq >&2
(cd "$work/source" && "${apt[@]}" source -qq kubernetes) >"$work/source.log" 2>&1 ||
  { cat "$work/source.log" >&2; die 'could not get the source package'; }
# Debian calls it 1.20.5+really1.20.2.
tree="$(find "$work/source" -mindepth 1 -maxdepth 1 -type d -name 'kubernetes-*')"
[[ "$tree" == *"$version" ]] || die "$suite has another version than $version: $(basename "$tree")"

# The vendored reflect2 (1.0.1) links to a function of Go's runtime whose signature
# changed with Go 1.18, and brings kube-apiserver down after minutes. Debian's
# package of it is newer.
reflect2=github.com/modern-go/reflect2
rm -rf "${tree:?}/vendor/$reflect2"
cp -r "/usr/share/gocode/src/$reflect2" "$tree/vendor/$reflect2"

# --- building ------------------------------------------------------------------

# As in the days of GOPATH: all it needs is in vendor/, so nothing is downloaded.
ln -s "$tree" "$work/go/src/k8s.io/kubernetes"
cd "$work/go/src/k8s.io/kubernetes"
unset GOROOT GOFLAGS
export GOPATH="$work/go" GOCACHE="$work/go-cache" GOTMPDIR="$work" GO111MODULE=off CGO_ENABLED=0 GOPROXY=off
go=/usr/bin/go
module=k8s.io/kubernetes

# Debian builds only kubectl and so leaves out a generated file that
# kube-apiserver imports: the OpenAPI definitions of every package marked for it.
generate_openapi() {
  local file=zz_generated.openapi marked
  [ ! -f "pkg/generated/openapi/$file.go" ] || return 0
  say 'generating the OpenAPI definitions'
  "$go" build -o "$work/bin/" "$module/vendor/k8s.io/kube-openapi/cmd/openapi-gen"
  marked="$(grep -rl --include='*.go' --exclude='*_test.go' '+k8s:openapi-gen=' \
    pkg staging/src vendor/k8s.io/kube-openapi |
    grep -v -e /testdata/ -e sample- -e code-generator |
    sed -E -e 's#/[^/]+$##' -e "s#^staging/src/#$module/vendor/#" -e "s#^(pkg|vendor)/#$module/\1/#" |
    sort -u | paste -sd, -)"
  "$work/bin/openapi-gen" --input-dirs "$marked" --output-package "$module/pkg/generated/openapi" \
    --output-file-base "$file" --go-header-file hack/boilerplate/boilerplate.generatego.txt \
    --report-filename "$work/openapi.report" >"$work/openapi.log" 2>&1 ||
    { tail -n 20 "$work/openapi.log" >&2; die 'openapi-gen failed'; }
  [ -f "pkg/generated/openapi/$file.go" ] || die "openapi-gen wrote no $file.go"
}

# The version is set in the vendored packages: without "kubernetes/vendor" in the
# path the linker would accept it and set nothing.
flags='-s -w'
for package in component-base/version client-go/pkg/version; do
  for value in "gitVersion=v$version" gitMajor=1 gitMinor=20 gitTreeState=archive; do
    flags+=" -X $module/vendor/k8s.io/$package.$value"
  done
done

for name in "${todo[@]}"; do
  [ "$name" != kube-apiserver ] || generate_openapi
  say "building $name"
  "$go" build -trimpath -ldflags "$flags" -o "$work/bin/$name" "$module/cmd/$name"
  mv "$work/bin/$name" "$target/$name"
done
[ -e "$target/etcd" ] || [ ! -x /usr/bin/etcd ] || ln -s /usr/bin/etcd "$target/etcd"
say 'built'
