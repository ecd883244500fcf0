#!/usr/bin/env bash
# Installs what the web client needs, unless it is there already.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
lock=$(sha256sum web/package-lock.json | cut -d' ' -f1)
if [ "$(cat web/node_modules/.lock-digest 2>/dev/null)" != "$lock" ]; then
  say "installing the web client's dependencies"
  (cd web && npm ci --no-audit --no-fund >&2)
  echo "$lock" >web/node_modules/.lock-digest
fi
