#!/usr/bin/env bash
# What a list of one's own namespaces takes beside the API server's list of all: `make bench-lists`. Arguments go to the
# benchmark.
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "$0")/../tools/lib.sh"
cd "$root"

need_rust
need_packages util-linux
devcluster=$(tools/devcluster/build.sh)
say "building mk8s-apiserver and the benchmark (as for a release: a quarter of an hour the first time)"
cargo build --quiet --release --package mk8s-apiserver --package mk8s-bench
programs=${CARGO_TARGET_DIR:-target}/release
exec "$programs/mk8s-bench" lists --program "$programs/mk8s-apiserver" --devcluster "$devcluster" "$@"
