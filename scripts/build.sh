#!/usr/bin/env bash
# Builds the web client into web/dist and the server into target/release/devmentor, which holds the client.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scripts/web-install.sh
stamp=$(find web -name node_modules -prune -o -path web/dist -prune -o -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
if [ ! -f web/dist/index.html ] || [ "$(cat web/node_modules/.built 2>/dev/null)" != "$stamp" ]; then
  say "building the web client"
  (cd web && npm run --silent build >&2)
  echo "$stamp" >web/node_modules/.built
fi
say "building the server"
cargo build --release --locked --package devmentor
