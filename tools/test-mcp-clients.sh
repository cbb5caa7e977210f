#!/usr/bin/env bash
# Installs the official MCP clients of tests/clients/mcp into target/mcp-clients/LANGUAGE, whose `client` starts each, and the conformance
# suite and the inspector into target/mcp-clients/judges. The directory is the only line on stdout; progress goes to stderr.
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"

out=${CARGO_TARGET_DIR:-$root/target}/mcp-clients
sources=$root/tests/clients/mcp
mkdir -p "$out"/{python,node,judges}

# One at a time: test processes side by side ask for the same.
exec 9>"$out/lock"
flock 9

# starts PROGRAM COMMAND: how it is run.
starts() {
	printf '#!/bin/sh\nexec %s "$@"\n' "$2" >"$out/$1.next"
	chmod 755 "$out/$1.next"
	mv "$out/$1.next" "$out/$1"
}

command -v python3 >/dev/null || die "Python is missing: apt-get install python3-venv"
if ! fresh "$out/python/stamp" "$(python3 --version)" "$out" < <(cat "$sources"/python/*); then
	say "installing Python's MCP client"
	rm -rf "$out/python/venv" "$out/python/stamp"
	python3 -m venv "$out/python/venv" >"$out/python/log" 2>&1 ||
		failed "python3 can't make a virtual environment: apt-get install python3-venv" "$out/python/log"
	"$out/python/venv/bin/python3" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --only-binary :all: \
		--requirement "$sources/python/requirements.txt" >>"$out/python/log" 2>&1 ||
		failed "pip could not install tests/clients/mcp/python/requirements.txt" "$out/python/log"
	cp "$sources/python/client.py" "$out/python/"
	starts python/client "'$out/python/venv/bin/python3' '$out/python/client.py'"
	echo "$wanted_stamp" >"$out/python/stamp"
fi

command -v npm >/dev/null || die "Node is missing: apt-get install nodejs npm (20 or newer)"
if ! fresh "$out/node/stamp" "$(node --version)" "$out" < <(cat "$sources"/node/*.*); then
	say "installing Node's MCP client"
	rm -rf "$out/node/node_modules" "$out/node/stamp"
	cp "$sources"/node/*.* "$out/node/"
	(cd "$out/node" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund) >"$out/node/log" 2>&1 ||
		failed "npm could not install tests/clients/mcp/node/package-lock.json" "$out/node/log"
	starts node/client "node '$out/node/client.mjs'"
	echo "$wanted_stamp" >"$out/node/stamp"
fi

if ! fresh "$out/judges/stamp" "$(node --version)" "$out" < <(cat "$sources"/judges/*.json); then
	say "installing MCP's conformance suite and inspector"
	rm -rf "$out/judges/node_modules" "$out/judges/stamp"
	cp "$sources"/judges/*.json "$out/judges/"
	(cd "$out/judges" && npm ci --ignore-scripts --no-audit --no-fund) >"$out/judges/log" 2>&1 ||
		failed "npm could not install tests/clients/mcp/judges/package-lock.json" "$out/judges/log"
	# They want a newer Node than Debian has; npm brought the one for this machine.
	own=("$out"/judges/node_modules/node-linux-*/bin/node)
	[[ -x ${own[0]} ]] || die "there is no Node 22 for this machine among tests/clients/mcp/judges/package.json's optionalDependencies"
	for judge in conformance:conformance inspector:mcp-inspector; do
		starts "judges/${judge%:*}" "'${own[0]}' '$out/judges/node_modules/.bin/${judge#*:}'"
	done
	echo "$wanted_stamp" >"$out/judges/stamp"
fi
echo "$out"
