#!/usr/bin/env bash
# Builds keeper-secrets-exec, which starts other people's programs in images of every kind: linked statically, so that it needs
# nothing of theirs. Prints where it is.
#
#   tools/build-exec.sh [PROFILE]      default: release
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${1:-release}
directory=$profile
[[ $profile != dev ]] || directory=debug
host=$(rustc --version --verbose | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}/static
# Naming the target keeps the flags from what runs while building.
RUSTFLAGS="-C target-feature=+crt-static" cargo build --quiet --locked --profile "$profile" --target "$host" --target-dir "$target" \
	--package keeper-secrets-exec
echo "$target/$host/$directory/keeper-secrets-exec"
