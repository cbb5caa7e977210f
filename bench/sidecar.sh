#!/usr/bin/env bash
# What the sidecar costs, beside haproxy, nginx and Go's reverse proxy: `make bench-sidecar`. Arguments go to the benchmark.
#
#   make bench-sidecar BENCH_ARGS=--quick     a minute, to see that it works
#   make bench-sidecar BENCH_ARGS=--update-docs
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "$0")/../tools/lib.sh"
cd "$root"

need_rust
need_packages haproxy nginx-light util-linux
command -v go >/dev/null || die "Go is missing: install Go $(sed -n 's/^go //p' bench/go-proxy/go.mod) or newer (https://go.dev/dl)"
say "building mca-proxy, its competitor in Go, and the benchmark (as for a release: a quarter of an hour the first time)"
cargo build --quiet --release --package mca-proxy --package mk8s-bench
mkdir -p target/bench
(cd bench/go-proxy && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$root/target/bench/go-proxy" .)
programs=${CARGO_TARGET_DIR:-target}/release
exec "$programs/mk8s-bench" sidecar --programs "$programs" --go-proxy target/bench/go-proxy "$@"
