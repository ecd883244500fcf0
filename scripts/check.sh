#!/usr/bin/env bash
# Formatting, lints and types.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
scripts/setup.sh run
scripts/web-install.sh
bad=0
cargo fmt --all --check || bad=1
cargo clippy --workspace --all-targets --locked -- -D warnings || bad=1
(cd web && npm run --silent check) || bad=1
if have cargo-deny; then cargo deny check || bad=1; fi
exit $bad
