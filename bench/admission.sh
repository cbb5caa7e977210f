#!/usr/bin/env bash
# How long the webhook takes to answer: `make bench-admission`. Arguments go to the benchmark.
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "$0")/../tools/lib.sh"
cd "$root"

need_rust
need_packages util-linux
say "building mk8s-webhook and the benchmark (as for a release: a quarter of an hour the first time)"
cargo build --quiet --release --package mk8s-webhook --package mk8s-bench
programs=${CARGO_TARGET_DIR:-target}/release
exec "$programs/mk8s-bench" admission --program "$programs/mk8s-webhook" "$@"
