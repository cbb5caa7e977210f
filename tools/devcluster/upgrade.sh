#!/bin/sh
# Moves devcluster to another Kubernetes: k8s.io/kubernetes and each of its staging modules.
#
# k8s.io/kubernetes asks for its staging modules at v0.0.0 and replaces them by paths of its own
# repository. Such replaces don't reach a module that imports it, so they are written again here:
# v1.X.Y of the one is v0.X.Y of the others.
set -eu

version=${1:-}
case $version in
v1.[0-9]*.[0-9]*) ;;
*)
	echo "usage: $0 v1.X.Y   (the Kubernetes to move to; versions: go list -m -versions k8s.io/kubernetes)" >&2
	exit 2
	;;
esac
cd "$(dirname "$0")"
staging_version=v0.${version#v1.}

# GOFLAGS=-mod=mod: the module graph may be out of step until the last line.
export GOFLAGS="-mod=mod ${GOFLAGS:-}"

gomod=$(cd / && GOFLAGS='' go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/^[[:space:]]*"GoMod": "\(.*\)",*$/\1/p')
[ -n "$gomod" ] || {
	echo "upgrade.sh: no Kubernetes $version; see: go list -m -versions k8s.io/kubernetes" >&2
	exit 1
}

for module in $(sed -n 's/^[[:space:]]*\(k8s\.io\/[a-z0-9-]*\) => .*/\1/p' go.mod); do
	go mod edit -dropreplace "$module"
done
go mod edit -require "k8s.io/kubernetes@$version"
for module in $(sed -n 's/^[[:space:]]*\(k8s\.io\/[a-z0-9-]*\) => \.\/staging\/.*/\1/p' "$gomod"); do
	go mod edit -replace "$module=$module@$staging_version"
done
go mod tidy
echo "devcluster now builds Kubernetes $version; run build.sh, then the tests"
