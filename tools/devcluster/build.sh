#!/bin/sh
# Builds devcluster into target/devcluster at the repository's root. The path of the program is the
# only line on stdout; progress goes to stderr.
#
# The first build compiles Kubernetes and takes minutes; Go keeps what it compiled (GOCACHE), so later
# ones take seconds. With KUBEBUILDER_ASSETS naming a directory that has kube-apiserver and etcd, a
# small devcluster is built that runs those (control planes only, no node).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$root/target/devcluster
say() { echo "devcluster: $*" >&2; }
took() { echo "$(($1 / 60))m$(($1 % 60))s"; }

assets=${KUBEBUILDER_ASSETS:-}
program=devcluster
tags=
if [ -n "$assets" ] && [ -x "$assets/kube-apiserver" ] && [ -x "$assets/etcd" ]; then
	program=devcluster-assets
	tags="-tags assets"
elif [ -n "$assets" ]; then
	say "KUBEBUILDER_ASSETS=$assets has no kube-apiserver and etcd: building Kubernetes instead"
fi

if ! command -v go >/dev/null 2>&1; then
	if [ -x "$out/$program" ]; then
		say "there is no Go to build with: using $out/$program as it is"
		echo "$out/$program"
		exit 0
	fi
	wanted=$(sed -n 's/^go //p' "$here/go.mod")
	say "Go is missing: install Go $wanted or newer (https://go.dev/dl) and put it into PATH"
	exit 1
fi

cd "$here"
version=$(sed -n 's/^[[:space:]]*k8s\.io\/kubernetes \(v[0-9][^ ]*\).*/\1/p' go.mod)
minor=${version#v1.}
minor=${minor%%.*}
stamp=
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	stamp="$stamp -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
done

mkdir -p "$out"
log=$out/build.log
: >"$log"
last=
[ ! -f "$out/last-build-seconds" ] || [ -n "$tags" ] || last=", last time $(took "$(cat "$out/last-build-seconds")")"
started=$(date +%s)

# -v prints each package as it is compiled.
# shellcheck disable=SC2086
CGO_ENABLED=0 go build -v -buildvcs=false $tags -ldflags "-s -w$stamp" -o "$out/$program" . >"$log" 2>&1 &
build=$!
trap 'kill $build 2>/dev/null || true; exit 130' INT TERM

# Silent at first: most builds have nothing to do.
waited=0
while kill -0 $build 2>/dev/null; do
	sleep 1
	waited=$((waited + 1))
	if [ $waited -eq 8 ]; then
		say "building etcd and Kubernetes $version (kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy, kubectl)$last"
	elif [ $((waited % 30)) -eq 0 ]; then
		now=$(grep -v ' ' "$log" | tail -n 1)
		say "still building: $(wc -l <"$log") packages, ${now:-linking} … $(took $(($(date +%s) - started)))$last"
	fi
done
if ! wait $build; then
	grep -v -E '^[a-z0-9.]+(/[A-Za-z0-9._-]+)*$' "$log" | tail -n 20 >&2
	say "the build failed; its log: $log"
	exit 1
fi

seconds=$(($(date +%s) - started))
if [ -s "$log" ]; then # something was compiled
	say "built $out/$program ($version) in $(took $seconds)"
	# A build that only linked says nothing about how long one from cold takes.
	if [ -z "$tags" ] && [ $seconds -ge 60 ]; then
		echo $seconds >"$out/last-build-seconds"
	fi
fi
echo "$out/$program"
