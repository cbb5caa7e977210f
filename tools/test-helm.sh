#!/usr/bin/env bash
# Builds Helm, of the version in tests/clients/helm/go.mod, into target/helm/helm. Its path is the only line on stdout; progress goes to stderr.
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"

out=${CARGO_TARGET_DIR:-$root/target}/helm
mkdir -p "$out"

# One at a time: tests side by side ask for the same.
exec 9>"$out/lock"
flock 9

command -v go >/dev/null || die "Go is missing: install Go $(sed -n 's/^go //p' tests/clients/helm/go.mod) or newer (https://go.dev/dl)"
if ! fresh "$out/stamp" "$(go version)" < <(cat tests/clients/helm/go.mod tests/clients/helm/go.sum); then
	say "building Helm"
	# It asks itself which Kubernetes it speaks, where it has no cluster to ask.
	version=$(sed -n 's|.*k8s.io/client-go v0\.\([0-9]*\).*|\1|p' tests/clients/helm/go.mod)
	(cd tests/clients/helm && CGO_ENABLED=0 go build -trimpath -o "$out/helm" \
		-ldflags "-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=$version" \
		helm.sh/helm/v3/cmd/helm) >"$out/log" 2>&1 || failed "Helm could not be built from tests/clients/helm/go.mod" "$out/log"
	echo "$wanted_stamp" >"$out/stamp"
fi
echo "$out/helm"
