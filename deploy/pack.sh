#!/usr/bin/env bash
# Packs swarmd and swarmctl into one file that runs elsewhere: the compiled packages, and a lock file of what they need.
# The same sources give the same file, byte for byte.
# Usage: bash deploy/pack.sh [FOLDER]     writes FOLDER/swarmd-VERSION.tgz (default: test/upgrade), and prints its path
# To run it: unpack it, `npm ci --omit=dev --ignore-scripts` in it, then packages/daemon/bin/swarmd.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$(realpath "${1:-test/upgrade}")
npm run -s build >&2
version=$(node -p 'require("./package.json").version')
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
root="$staging/swarmd-$version"
mkdir -p "$root" "$folder"

node deploy/lib/pack-files.mjs "$root"
cp LICENSE "$root"
chmod -R u=rwX,go=rX "$root"

# Nothing of the machine that packed it may be inside.
if grep -rlF -e "$PWD" -e "$HOME/" "$root"; then
  echo "these files name a folder of this machine" >&2
  exit 1
fi
if grep -n '"resolved": "http' "$root/package-lock.json"; then
  echo "the lock file names a registry" >&2
  exit 1
fi

tar --sort=name --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$staging" -cf - "swarmd-$version" |
  gzip -n -9 >"$folder/swarmd-$version.tgz"
echo "$folder/swarmd-$version.tgz"
