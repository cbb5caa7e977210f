# shellcheck shell=bash
# What the scripts here share. To be sourced.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export root
mkdir -p "$root/target"
started=$SECONDS

# What the cluster's node, and with it the databases and the clocks of tests, come from.
export DEBIAN_FRONTEND=noninteractive
node_packages=(containerd runc containernetworking-plugins iptables conntrack socat busybox-static)
# shellcheck disable=SC2034
test_packages=("${node_packages[@]}" postgresql faketime python3-venv)
# Node is often somebody else's package, which brings npm along and doesn't suffer Debian's beside it.
command -v node >/dev/null || test_packages+=(nodejs)
command -v npm >/dev/null || test_packages+=(npm)

# Clouds' SDKs are in images and in whole runs of the tests, but in nobody's daily build; what MCP's conformance suite wants is in tests alone.
# shellcheck disable=SC2034
test_features=keeper-secrets/aws,keeper-secrets/gcp,keeper-secrets/azure,mk8s-mcp/conformance

# say TEXT: progress, with the time since the start.
say() {
	local elapsed=$((SECONDS - started))
	printf '[%d:%02d] %s\n' $((elapsed / 60)) $((elapsed % 60)) "$*" >&2
}

# die TEXT: ends with one line.
die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# need_packages NAME...: Debian packages, installed if that is possible.
need_packages() {
	local missing=() package
	if ! command -v dpkg-query >/dev/null; then
		say "this isn't Debian: make sure that there is: $*"
		return
	fi
	for package in "$@"; do
		[[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
	done
	((${#missing[@]} == 0)) && return
	if ((EUID != 0)); then
		die "packages are missing; run: sudo apt-get install ${missing[*]}"
	fi
	say "installing ${missing[*]}"
	# Debian starts what it installs; nothing here needs a service of the system's own.
	if ! { apt-get update && RUNLEVEL=1 apt-get install --yes --no-install-recommends "${missing[@]}"; } >"$root/target/apt.log" 2>&1; then
		tail -n 5 "$root/target/apt.log" >&2
		die "apt-get could not install ${missing[*]}; all it said is in target/apt.log"
	fi
}

# need_rust: cargo, new enough.
need_rust() {
	local wanted found
	wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
	command -v cargo >/dev/null || die "Rust is missing: install Rust $wanted or newer (https://rustup.rs)"
	found=$(cargo --version | cut -d' ' -f2)
	if [[ $(printf '%s\n%s\n' "$wanted" "$found" | sort --version-sort | head -n 1) != "$wanted" ]]; then
		die "Rust $found is too old: run: rustup update stable (this needs $wanted or newer)"
	fi
	command -v cc >/dev/null || need_packages build-essential
	command -v cmake >/dev/null || need_packages cmake
}

# need_cargo_tool NAME: cargo-nextest, cargo-deny, ...
need_cargo_tool() {
	command -v "$1" >/dev/null && return
	say "installing $1 (minutes, once)"
	cargo install --locked --quiet "$1"
}

# devcluster_program: builds tools/devcluster if need be, and prints the program's path.
devcluster_program() {
	if [[ -z ${KUBEBUILDER_ASSETS:-} ]] && ! command -v go >/dev/null && [[ ! -x $root/target/devcluster/devcluster ]]; then
		die "Go is missing: install Go $(sed -n 's/^go //p' "$root/tools/devcluster/go.mod") or newer (https://go.dev/dl)"
	fi
	"$root/tools/devcluster/build.sh"
}

# alive PID STARTTIME: whether this very process still runs.
alive() {
	[[ -r /proc/$1/stat ]] && [[ $(start_time "$1") == "$2" ]]
}

# start_time PID: when it was started, in clock ticks since boot; tells a process from a later one with the same id.
start_time() {
	local stat fields
	{ stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
	# The name, which may hold spaces, ends at the last parenthesis.
	read -ra fields <<<"${stat##*)}"
	printf '%s\n' "${fields[19]}"
}

# fresh STAMP WORD...: whether STAMP was made from the same words, and of the same files on standard input.
fresh() {
	local stamp=$1 sum
	shift
	sum=$({ printf '%s\n' "$@" && cat; } | sha256sum)
	# shellcheck disable=SC2034
	wanted_stamp=$sum
	[[ -f $stamp && $(<"$stamp") == "$sum" ]]
}

# failed TEXT LOG: ends with one line, and before it the end of what was said.
failed() {
	tail -n 10 "$2" >&2
	die "$1; all that was said is in $2"
}
