# shellcheck shell=bash
# Shared by setup, run, test and fuzz in this folder; sourced, not run.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
die() {
  say "$1"
  exit "${2:-1}"
}

# build PRESET [TARGET…]: configures once, builds, silent when there is nothing to do. All output goes
# to a log (standard output belongs to the program that runs afterwards), whose end is shown on failure.
build() {
  local preset=$1 folder=$root/build/$1 log=$root/build/$1.log pid status=0 shown=0 line last=''
  shift
  mkdir -p "$root/build"
  (
    cd "$root"
    [ -e "$folder/build.ninja" ] || cmake --preset "$preset"
    cmake --build --preset "$preset" ${1:+--target "$@"}
  ) >"$log" 2>&1 &
  pid=$!
  # Interrupted from the keyboard the children get the signal themselves; ended by pid they do not.
  trap 'kill "$pid" 2>/dev/null || true; exit 143' TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    ((++shown % 10 == 0)) || continue
    [ "$shown" != 10 ] || say "building the $preset preset (log: ${log#"$root"/})"
    [ -t 2 ] || ((shown % 150 == 0)) || continue
    line=$(tail -n 1 "$log")
    [[ $line == \[* && $line != "$last" ]] || continue
    last=$line
    if [ -t 2 ]; then printf '\r\033[K%.78s' "$line" >&2; else printf '%.100s\n' "$line" >&2; fi
  done
  trap - TERM
  wait "$pid" || status=$?
  if [ -t 2 ] && [ -n "$last" ]; then printf '\r\033[K' >&2; fi
  ((status == 0)) && return
  grep -nE '^FAILED|error:|CMake Error' "$log" >&2 || true
  tail -n 40 "$log" >&2
  die "the build failed; the whole log is ${log#"$root"/}"
}
