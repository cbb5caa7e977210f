#!/usr/bin/env bash
# What a request costs, beside haproxy and the API server itself: `make bench`. Arguments go to the benchmark; `--help` tells.
#
#   make bench BENCH_ARGS=--quick     half a minute, to see that it works
#   make bench BENCH_ARGS=--update-docs
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "$0")/../tools/lib.sh"
cd "$root"

need_rust
need_packages haproxy util-linux
say "building mk8s-central, mk8s-agent and the benchmark (as for a release: a quarter of an hour the first time)"
cargo build --quiet --release --package mk8s-central --package mk8s-agent --package mk8s-bench
programs=${CARGO_TARGET_DIR:-target}/release

# The real API server, where it can be had; without it, that part of the table is left out and said to be.
cluster=()
if [[ -z ${KUBEBUILDER_ASSETS:-} ]] && ! command -v go >/dev/null && [[ ! -x target/devcluster/devcluster ]]; then
	say "Go is missing: the comparison with a real API server is left out"
else
	cluster=(--devcluster "$(devcluster_program)")
fi
exec "$programs/mk8s-bench" --programs "$programs" "${cluster[@]}" "$@"
