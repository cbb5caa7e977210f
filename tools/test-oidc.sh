#!/usr/bin/env bash
# Installs the OpenID provider of tests/clients/oidc into target/oidc, anew only if its list of versions, or Node, has changed. The
# directory is the only line on stdout; progress goes to stderr.
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"

out=${CARGO_TARGET_DIR:-$root/target}/oidc
sources=$root/tests/clients/oidc
mkdir -p "$out"

# One at a time: tests that run side by side install into the same place.
exec 9>"$out/lock"
flock 9

command -v node >/dev/null || die "node is missing: apt-get install nodejs"
wanted=$({ node --version && cat "$sources/package.json" "$sources/package-lock.json"; } | sha256sum)
if ! [[ -f $out/stamp && $(<"$out/stamp") == "$wanted" ]]; then
	command -v npm >/dev/null || die "npm is missing: apt-get install npm"
	say "installing the OpenID provider"
	rm -rf "$out/node_modules" "$out/stamp"
	cp "$sources/package.json" "$sources/package-lock.json" "$out/"
	if ! (cd "$out" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund) >"$out/log" 2>&1; then
		tail -n 10 "$out/log" >&2
		die "npm could not install tests/clients/oidc/package-lock.json; all that was said is in $out/log"
	fi
	echo "$wanted" >"$out/stamp"
fi
# Those that run already have read theirs.
if ! cmp --silent "$sources/server.mjs" "$out/server.mjs"; then
	cp "$sources/server.mjs" "$out/server.mjs.next"
	mv "$out/server.mjs.next" "$out/server.mjs"
fi
echo "$out"
