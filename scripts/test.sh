#!/usr/bin/env bash
# Every test there is. The last line is "N passed, N failed" over all suites; a check counts as one test.
# Exits with 1 when something failed. Reads nothing from standard input, needs no terminal.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
exec </dev/null
export CI=true CARGO_TERM_COLOR=never RUST_BACKTRACE=${RUST_BACKTRACE:-0} NO_COLOR=1

passed=0 failed=0 broken=()
finish() {
  local code=$?
  end_services 2>/dev/null || true
  if [ ${#broken[@]} -gt 0 ]; then printf '\nfailed:\n' && printf '  %s\n' "${broken[@]}"; fi
  # a script that broke off in the middle is a failure too
  if [ $code -ne 0 ] && [ $failed -eq 0 ]; then failed=1; fi
  mkdir -p target
  printf '%d passed, %d failed\n' "$passed" "$failed" | tee target/test-summary
  [ $failed -eq 0 ] || exit 1
}
trap finish EXIT

# check NAME COMMAND...: one test that passes when the command does
check() {
  local name=$1
  shift
  printf '\n== %s\n' "$name"
  if "$@" 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)) broken+=("$name"); fi
}

# suite NAME COUNTER COMMAND...: COUNTER reads the output and prints "passed failed"
suite() {
  local name=$1 counter=$2 code=0 good bad log
  shift 2
  printf '\n== %s\n' "$name"
  log=$(mktemp "$services/suite.XXXXXX")
  "$@" 2>&1 | tee "$log" || code=$?
  read -r good bad < <("$counter" "$log")
  # it may have failed without a failed test: it did not compile, or was killed
  if [ $code -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
  passed=$((passed + good)) failed=$((failed + bad))
  if [ "$bad" -gt 0 ]; then broken+=("$name: $bad"); fi
}

count_cargo() {
  awk '/^test result: / { for (i = 1; i < NF; i++) { if ($(i + 1) ~ /^passed/) good += $i; if ($(i + 1) ~ /^failed/) bad += $i } } END { print good + 0, bad + 0 }' "$1"
}

# the line " Tests  1 failed | 11 passed (12)" of vitest
count_vitest() {
  sed 's/\x1b\[[0-9;]*m//g' "$1" |
    awk '$1 == "Tests" { for (i = 2; i < NF; i++) { if ($(i + 1) == "passed") good += $i; if ($(i + 1) == "failed") bad += $i } } END { print good + 0, bad + 0 }'
}

in_web() { (cd web && "$@"); }

source scripts/services.sh
scripts/setup.sh test
start_postgres
start_redis
start_docker

scripts/web-install.sh
check "web: types and style" in_web npm run --silent check
suite "web: unit tests" count_vitest in_web npm test --silent
check "web: build" in_web npm run --silent build

check "formatting" cargo fmt --all --check
check "lints" cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
# with the tests rather than by itself: other features of the dependencies would be all of them a second time
check "binaries" cargo test --workspace --locked --no-run --quiet
export TEST_BINARY=$root/target/debug/devmentor

suite "rust tests" count_cargo cargo test --workspace --locked --no-fail-fast
if [ -f web/e2e/vitest.config.ts ]; then
  suite "browser tests on SQLite" count_vitest in_web npm run --silent e2e
  psql -q "$TEST_DATABASE_URL" -c 'CREATE DATABASE e2e'
  export E2E_DATABASE_URL=${TEST_DATABASE_URL%/*}/e2e
  suite "browser tests on PostgreSQL" count_vitest in_web npm run --silent e2e
fi
