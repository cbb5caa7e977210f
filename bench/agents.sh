#!/usr/bin/env bash
# What AI agents read of a cluster, and how long they wait, beside another server of tools: `make bench-agents`. Arguments go to the
# benchmark.
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "$0")/../tools/lib.sh"
cd "$root"

need_rust
need_packages util-linux "${node_packages[@]}"
command -v npm >/dev/null || die "Node is missing: apt-get install nodejs npm (20 or newer)"
devcluster=$(tools/devcluster/build.sh)
target=${CARGO_TARGET_DIR:-$root/target}

# The other server's program is a package of its own for each platform; this is the one of x86-64.
other=$target/bench/agents-other
mkdir -p "$other"
if ! fresh "$other/stamp" "$(uname -sm)" < <(cat bench/agents-other/*); then
	say "installing the other server of tools"
	rm -rf "$other/node_modules" "$other/stamp"
	cp bench/agents-other/*.json "$other/"
	(cd "$other" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund) >"$other/log" 2>&1 ||
		failed "npm could not install bench/agents-other/package-lock.json" "$other/log"
	program=$(find "$other/node_modules" -path '*/bin/kubernetes-mcp-server-linux-*' -type f -print -quit)
	[[ -n $program ]] || die "kubernetes-mcp-server isn't there for this machine: give another with BENCH_ARGS=--other=PROGRAM"
	install -m 755 "$program" "$other/kubernetes-mcp-server"
	echo "$wanted_stamp" >"$other/stamp"
fi

say "building mk8s-mcp and the benchmark"
cargo build --quiet --profile quick-release --package mk8s-mcp --package mk8s-bench
programs=$target/quick-release
exec "$programs/mk8s-bench" agents --program "$programs/mk8s-mcp" --other "$other/kubernetes-mcp-server" --devcluster "$devcluster" "$@"
