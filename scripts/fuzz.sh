#!/usr/bin/env bash
# Feeds the parsers with made-up input: fuzz.sh [SECONDS FOR EACH TARGET] [TARGET...]
# What breaks one is left in fuzz/found/TARGET; the corpus in fuzz/corpus grows from run to run and is not committed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(github gitlab jenkins expression groovy)

# the coverage libFuzzer steers by, which the stable compiler can add
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
say "building the fuzz targets"
# only for the target, or build scripts would want libFuzzer too
triple=$(rustc -vV | sed -n 's/^host: //p')
# the versions of the product; cargo adds what only the targets need
cp Cargo.lock fuzz/Cargo.lock
(cd fuzz && RUSTFLAGS="--cfg fuzzing $coverage" cargo build --release --target "$triple" --target-dir ../target/fuzz)

bad=0
for target in "${targets[@]}"; do
  mkdir -p "fuzz/corpus/$target" "fuzz/found/$target"
  say "$target, $seconds seconds"
  log="target/fuzz/$target.log"
  "target/fuzz/$triple/release/$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
    -rss_limit_mb=4096 -artifact_prefix="fuzz/found/$target/" -verbosity=0 -print_final_stats=1 >"$log" 2>&1 || { bad=1; tail -50 "$log"; }
  grep -E '^stat::(number_of_executed|average)' "$log" || true
done
[ "$bad" = 0 ] || { say "an input breaks a parser: see fuzz/found"; exit 1; }
