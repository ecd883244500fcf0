#!/usr/bin/env bash
# Builds the web client into web/dist and the server into target/release/devmentor, which holds the client.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scripts/web-install.sh
stamp=$(git ls-files -s web 2>/dev/null | sha256sum | cut -c1-16)$(git status --porcelain web 2>/dev/null | sha256sum | cut -c1-16)
if [ ! -f web/dist/index.html ] || [ "$(cat web/dist/.stamp 2>/dev/null)" != "$stamp" ] || [ -n "$(git status --porcelain web 2>/dev/null)" ]; then
  say "building the web client"
  (cd web && npm run --silent build >&2)
  echo "$stamp" >web/dist/.stamp
fi
say "building the server"
cargo build --release --locked --package devmentor
