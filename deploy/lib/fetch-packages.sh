#!/usr/bin/env bash
# Unpacks Debian packages of this machine's own release, with all they depend on, into a folder.
# Nothing is installed: no maintainer script runs, and the machine's apt does not learn of it.
# Usage: fetch-packages.sh WORK ROOT ASSUMED PACKAGE …
#   WORK     folder for package lists and archives, kept between runs
#   ROOT     folder to unpack into
#   ASSUMED  space-separated packages that count as installed, so that they are not fetched
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=apt.sh
. "$here/apt.sh"

work=$1 root=$2 assumed=$3
shift 3
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mkdir -p "$work" "$root"/usr/{bin,sbin,lib,lib64}
: >"$work/status"
for name in $assumed; do
  printf 'Package: %s\nStatus: install ok installed\nArchitecture: %s\nMulti-Arch: foreign\nVersion: 9:999\n\n' \
    "$name" "$(dpkg --print-architecture)" >>"$work/status"
done
suite_apt "$work" "$suite" update
suite_apt "$work" "$suite" install --no-install-recommends --download-only "$@"
# Packages of a merged-/usr release still carry paths of both kinds.
for name in bin sbin lib lib64; do
  ln -s "usr/$name" "$root/$name"
done
for deb in "$work"/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root" -f -
done
