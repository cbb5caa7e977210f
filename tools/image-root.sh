#!/usr/bin/env bash
# Makes an image's root directory: programs at /, the libraries that the first is linked with, the authorities that the system trusts.
#
#   tools/image-root.sh target/release/mca-proxy DIRECTORY
#   tools/image-root.sh target/release/keeper-secrets DIRECTORY "$(tools/build-exec.sh)"     # a static program beside it
set -euo pipefail

(($# >= 2)) || { echo "usage: $0 PROGRAM DIRECTORY [STATIC-PROGRAM...]" >&2; exit 2; }
program=$1 directory=$2
shift 2
[[ -x $program ]] || { echo "error: $program isn't there: build it first" >&2; exit 1; }

mkdir -p "$directory"
install -m 755 "$program" "$directory/$(basename "$program")"
# The loader and the libraries, at the paths where the loader looks for them.
while read -r library; do
	mkdir -p "$directory$(dirname "$library")"
	install -m 755 "$(realpath "$library")" "$directory$library"
done < <(ldd "$program" | grep -oE '/[^ ]+')
for static in "$@"; do
	install -m 755 "$static" "$directory/$(basename "$static")"
done
certificates=/etc/ssl/certs/ca-certificates.crt
if [[ -r $certificates ]]; then
	mkdir -p "$directory$(dirname "$certificates")"
	install -m 644 "$certificates" "$directory$certificates"
fi
