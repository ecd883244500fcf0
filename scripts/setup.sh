#!/usr/bin/env bash
# Installs what is missing: setup.sh run|test|bench|fuzz
# It asks apt only for packages whose program is not there, so that a second run costs nothing.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
purpose=${1:-run}
missing=()

# need PROGRAM PACKAGE: a program on the path, or at a place given with slashes
need() {
  if [[ $1 == */* ]]; then compgen -G "$1" >/dev/null || missing+=("$2"); else have "$1" || missing+=("$2"); fi
}

need git git
need cc build-essential
need make make
need curl curl
need bwrap bubblewrap
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)

if [ "$purpose" = test ] || [ "$purpose" = bench ]; then
  need "/usr/lib/postgresql/*/bin/postgres" postgresql
  need redis-server redis-server
  need dockerd docker.io
  need skopeo skopeo
  need runuser util-linux
fi
if [ "$purpose" = test ]; then
  need chromium chromium
  need go golang-go
  need python3 python3
  have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
fi
if [ "$purpose" = fuzz ]; then
  need c++ g++
fi
if [ "$purpose" = bench ]; then
  need nginx nginx-light
  need fcgiwrap fcgiwrap
  need docker-registry docker-registry
  need wrk wrk
  need python3 python3
fi

if [ ${#missing[@]} -gt 0 ]; then
  have apt-get || fail "please install: ${missing[*]}"
  say "installing ${missing[*]}"
  # a service that a package would start is not wanted: the scripts start their own, and end them
  policy=$(mktemp)
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    as_root install -m 755 "$policy" /usr/sbin/policy-rc.d
    trap 'as_root rm -f /usr/sbin/policy-rc.d; rm -f "$policy"' EXIT
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
fi

rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
have cargo || fail "Rust $rust or newer is needed: https://rustup.rs"
found=$(cargo --version | cut -d' ' -f2)
if ! at_least "$rust" "$found"; then
  have rustup || fail "Rust $rust or newer is needed, and $found is installed"
  say "installing Rust $rust"
  rustup toolchain install "$rust" --profile minimal --component clippy,rustfmt >&2
  rustup override set "$rust" >&2
fi
have node || fail "Node 20 or newer is needed: https://nodejs.org"
at_least 20.0 "$(node --version | tr -d v)" || fail "Node 20 or newer is needed, and $(node --version) is installed"
have npm || fail "npm is needed, and comes with Node from https://nodejs.org"
