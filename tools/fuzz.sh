#!/usr/bin/env bash
# Hostile bytes for every fuzz target: `make fuzz`. FUZZ_SECONDS (60) says for how long each; a target's name as an argument
# takes that one alone. What is found stays in fuzz/artifacts, and what was learnt in fuzz/corpus.
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"

need_rust
command -v rustup >/dev/null || die "rustup is missing: fuzzing needs a nightly compiler (https://rustup.rs)"
cargo +nightly --version >/dev/null 2>&1 || die "a nightly compiler is missing: rustup toolchain install nightly"
need_cargo_tool cargo-fuzz

targets=("$@")
if ((${#targets[@]} == 0)); then
	mapfile -t targets < <(cargo +nightly fuzz list)
fi
for target in "${targets[@]}"; do
	say "$target"
	mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target"
	cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
		-max_total_time="${FUZZ_SECONDS:-60}" -max_len=65536 -print_final_stats=1
done
say "nothing was found"
