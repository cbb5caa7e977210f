#!/usr/bin/env bash
# Hostile bytes: `make fuzz`. FUZZ_SECONDS=60 is for each target; arguments choose targets. What was found lies in
# fuzz/artifacts, and cargo fuzz says how to run it again.
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"

need_rust
command -v rustup >/dev/null || die "rustup is missing: fuzzing needs a nightly compiler (https://rustup.rs)"
rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
need_cargo_tool cargo-fuzz

targets=("$@")
((${#targets[@]})) || mapfile -t targets < <(cargo +nightly fuzz list)
for target in "${targets[@]}"; do
	say "$target"
	mkdir -p "fuzz/corpus/$target"
	seeds=("fuzz/corpus/$target")
	[[ -d fuzz/seeds/$target ]] && seeds+=("fuzz/seeds/$target")
	cargo +nightly fuzz run "$target" "${seeds[@]}" -- \
		-max_total_time="${FUZZ_SECONDS:-60}" -max_len=4096 -timeout=10 -print_final_stats=1
done
