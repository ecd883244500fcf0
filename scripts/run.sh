#!/usr/bin/env bash
# Serves with embedded defaults. The service prints its address, and on the first start a one-time sign-in link.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
exec target/release/devmentor serve
