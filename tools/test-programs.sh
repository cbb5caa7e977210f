#!/usr/bin/env bash
# Puts together the programs that whole-system tests run, the clients that they run in pods, and devcluster. The test runner calls it once,
# before them.
#
# Those that carry other people's traffic are optimised, as users have them: what is measured is then true, and what is raced is raced in
# earnest. The others are as they are built for tests of their own. MK8S_TEST_PROFILE=dev builds faster, MK8S_TEST_PROFILE=quick-release
# optimises all.
set -euo pipefail
cd "$(dirname "$0")/.."

optimised=(mk8s-central mk8s-agent mca-proxy mk8s-apiserver)
others=(mk8s mk8s-webhook keeper-secrets mk8s-front-proxy mk8s-mcp)
target=${CARGO_TARGET_DIR:-$PWD/target}
programs=$target/test-programs
devcluster=${MK8S_DEVCLUSTER:-$(tools/devcluster/build.sh)}

# bring PROFILE PROGRAM...: builds them, and puts them where the tests look.
bring() {
	local profile=$1 program
	shift
	# A whole run has just built those that it has tests of, with features that this would take away again.
	[[ $profile == dev && -n ${MK8S_TEST_BUILT:-} ]] || cargo build --quiet --profile "$profile" "${@/#/--package=}"
	[[ $profile != dev ]] || profile=debug
	# Not by symbolic links: pods see the directory, and nothing beside it.
	for program in "$@"; do ln --force "$target/$profile/$program" "$programs/$program"; done
}

mkdir -p "$programs"
profile=${MK8S_TEST_PROFILE:-quick-release}
if [[ -n ${MK8S_TEST_PROFILE:-} ]]; then
	MK8S_TEST_BUILT='' bring "$profile" "${optimised[@]}" "${others[@]}"
else
	bring quick-release "${optimised[@]}"
	bring dev "${others[@]}"
fi
exec_program=$(tools/build-exec.sh "$profile")
clients=$(tools/test-clients.sh)
if [[ -n ${NEXTEST_ENV:-} ]]; then
	{
		echo "MK8S_TEST_PROGRAMS=$programs"
		echo "MK8S_TEST_CLIENTS=$clients"
		echo "MK8S_TEST_EXEC=$exec_program"
		echo "MK8S_DEVCLUSTER=$devcluster"
	} >>"$NEXTEST_ENV"
fi
