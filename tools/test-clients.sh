#!/usr/bin/env bash
# Builds the clients of tests/clients into target/clients/LANGUAGE/client, as they are mounted into pods. The directory is the only
# line on stdout; progress goes to stderr.
#
# What is installed by pip and npm is installed anew only if its list of versions, or the language, has changed.
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"

target=${CARGO_TARGET_DIR:-$root/target}
out=$target/clients
sources=$root/tests/clients
mkdir -p "$out"/{go,python,node,rust}

# One at a time: test runs side by side build in the same place.
exec 9>"$out/lock"
flock 9

# put SOURCE DESTINATION [MODE]: replaces the file, if it differs. Pods may be running the old one.
put() {
	cmp --silent "$1" "$2" && return
	install --mode "${3:-644}" "$1" "$2.next"
	mv "$2.next" "$2"
}

# start_script LANGUAGE COMMAND: target/clients/LANGUAGE/client, which finds its files wherever the directory is mounted.
start_script() {
	printf '#!/bin/sh\nhere=$(dirname "$0")\nexec %s "$@"\n' "$2" >"$out/$1/start.next"
	put "$out/$1/start.next" "$out/$1/client" 755
	rm "$out/$1/start.next"
}

# of_the_system PROGRAM PACKAGE: the program's path. Pods see this machine's /usr, so there it must be.
of_the_system() {
	local directory
	for directory in /usr/bin /usr/local/bin; do
		if [[ -x $directory/$1 ]]; then
			echo "$directory/$1"
			return
		fi
	done
	die "$1 is missing below /usr, which is what pods see of this machine: apt-get install $2"
}

build_python() {
	local python version
	python=$(of_the_system python3 python3-venv)
	version=$("$python" --version)
	put "$sources/python/client.py" "$out/python/client.py"
	start_script python '"$here/venv/bin/python3" "$here/client.py"'
	if fresh "$out/python/stamp" "$python" "$version" <"$sources/python/requirements.txt"; then return; fi
	say "installing Python's client"
	rm -rf "$out/python/venv" "$out/python/stamp"
	"$python" -m venv "$out/python/venv" >"$out/python/log" 2>&1 ||
		die "$python can't make a virtual environment: apt-get install python3-venv (all it said is in $out/python/log)"
	"$out/python/venv/bin/python3" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --only-binary :all: \
		--requirement "$sources/python/requirements.txt" >>"$out/python/log" 2>&1 ||
		failed "pip could not install tests/clients/python/requirements.txt" "$out/python/log"
	echo "$wanted_stamp" >"$out/python/stamp"
}

build_node() {
	local node version
	node=$(of_the_system node nodejs)
	version=$("$node" --version)
	put "$sources/node/client.mjs" "$out/node/client.mjs"
	start_script node "$node"' "$here/client.mjs"'
	if fresh "$out/node/stamp" "$node" "$version" < <(cat "$sources/node/package.json" "$sources/node/package-lock.json"); then return; fi
	command -v npm >/dev/null || die "npm is missing: apt-get install npm"
	say "installing Node's client"
	rm -rf "$out/node/node_modules" "$out/node/stamp"
	cp "$sources/node/package.json" "$sources/node/package-lock.json" "$out/node/"
	(cd "$out/node" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund) >"$out/node/log" 2>&1 ||
		failed "npm could not install tests/clients/node/package-lock.json" "$out/node/log"
	echo "$wanted_stamp" >"$out/node/stamp"
}

build_go() {
	command -v go >/dev/null ||
		die "Go is missing: install Go $(sed -n 's/^go //p' "$sources/go/go.mod") or newer (https://go.dev/dl)"
	(cd "$sources/go" && CGO_ENABLED=0 go build -buildvcs=false -ldflags "-s -w" -o "$out/go/client" .) >"$out/go/log" 2>&1 ||
		failed "tests/clients/go doesn't build" "$out/go/log"
}

# Unoptimised, as the tests are: it is no program under test, and shares their libraries.
build_rust() {
	cargo build --quiet --locked --package mk8s-test-client >"$out/rust/log" 2>&1 ||
		failed "tests/clients/rust doesn't build" "$out/rust/log"
	put "$target/debug/mk8s-test-client" "$out/rust/client" 755
}

# What is fetched waits for others, what is compiled for this machine: both at once.
build_python &
python=$!
build_node &
node=$!
build_go
build_rust
ok=true
wait "$python" || ok=false
wait "$node" || ok=false
$ok || exit 1
echo "$out"
