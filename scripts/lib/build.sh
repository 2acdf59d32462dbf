# shellcheck shell=bash
# Builds the program when that is needed. Sourced after setup.sh;
# the caller sets `root` to the repository.

# setup_build: dist/, unless it is newer than all that goes into it.
setup_build() {
  (
    cd "${root:?}" || exit 1
    # The build begins by emptying dist/, so one at a time.
    if command -v flock >/dev/null; then
      exec 8<package.json
      flock 8
    fi
    setup_build_is_current && exit 0
    setup_say 'building'
    log="$(npm run --silent build 2>&1 8<&-)" || { printf '%s\n' "$log" >&2; exit 1; }
  ) || { setup_say 'the build failed'; return 1; }
}

setup_build_is_current() {
  [ -e dist/main.js ] || return 1
  [ -z "$(find src package.json package-lock.json rolldown.config.ts -newer dist/main.js | head -n 1)" ]
}
