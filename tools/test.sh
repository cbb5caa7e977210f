#!/usr/bin/env bash
# All tests, the real clusters included: `make test`. KEEP_CLUSTER=1 leaves the clusters running for the next time.
# Arguments go to cargo nextest: tools/test.sh -E 'test(exec)'
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"
mkdir -p target

need_rust
need_packages "${test_packages[@]}"
need_cargo_tool cargo-nextest
MK8S_DEVCLUSTER=$(devcluster_program)
export MK8S_DEVCLUSTER

if [[ ${KEEP_CLUSTER:-} == 1 ]]; then
	export MK8S_TEST_CLUSTER=${MK8S_TEST_CLUSTER:-mk8s-test}
else
	# A name of this run's own: what another run keeps up isn't taken down from under it.
	export MK8S_TEST_CLUSTER=mk8s-test-$$
	take_down() {
		say "ending the clusters"
		"$MK8S_DEVCLUSTER" down --name "$MK8S_TEST_CLUSTER" 2>/dev/null
		"$MK8S_DEVCLUSTER" down --name "$MK8S_TEST_CLUSTER-2" 2>/dev/null
		"$MK8S_DEVCLUSTER" down --name "$MK8S_TEST_CLUSTER-3" 2>/dev/null
	}
	trap take_down EXIT
fi

if (($# == 0)); then
	say "tests of tools/devcluster"
	(cd tools/devcluster && CGO_ENABLED=0 go test ./...)
fi
say "starting the shared cluster"
"$MK8S_DEVCLUSTER" up --name "$MK8S_TEST_CLUSTER" --node --detach >/dev/null
if (($# == 0)); then
	say "examples in the documentation"
	cargo test --quiet --workspace --features "$test_features" --doc
fi
say "tests"
# All packages at once: tools/test-programs.sh finds their programs built.
(($# > 0)) || export MK8S_TEST_BUILT=1
cargo nextest run --workspace --features "$test_features" "$@"
