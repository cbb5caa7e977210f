#!/usr/bin/env bash
# Builds the programs that whole-system tests run, the clients that they run in pods, and devcluster. The test runner calls it once,
# before them.
#
# They are optimised, as users have them: what is measured is then true, and what is raced is raced in earnest.
# MK8S_TEST_PROFILE=dev builds faster.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${MK8S_TEST_PROFILE:-quick-release}
directory=$profile
[[ $profile != dev ]] || directory=debug
devcluster=${MK8S_DEVCLUSTER:-$(tools/devcluster/build.sh)}
cargo build --quiet --profile "$profile" --package mk8s-central --package mk8s-agent --package mk8s \
	--package mk8s-webhook --package mca-proxy --package keeper-secrets --package mk8s-front-proxy --package mk8s-apiserver --package mk8s-mcp
exec_program=$(tools/build-exec.sh "$profile")
clients=$(tools/test-clients.sh)
if [[ -n ${NEXTEST_ENV:-} ]]; then
	{
		echo "MK8S_TEST_PROGRAMS=${CARGO_TARGET_DIR:-$PWD/target}/$directory"
		echo "MK8S_TEST_CLIENTS=$clients"
		echo "MK8S_TEST_EXEC=$exec_program"
		echo "MK8S_DEVCLUSTER=$devcluster"
	} >>"$NEXTEST_ENV"
fi
