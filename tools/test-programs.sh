#!/usr/bin/env bash
# Builds the programs that whole-system tests run. The test runner calls it once, before them.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet --package mk8s-central --package mk8s-agent --package mk8s
if [[ -n ${NEXTEST_ENV:-} ]]; then
	echo "MK8S_TEST_PROGRAMS=${CARGO_TARGET_DIR:-$PWD/target}/debug" >>"$NEXTEST_ENV"
fi
