#!/usr/bin/env bash
# Everything that must hold, from a fresh clone: install, build, lint, unit, simulation, compatibility, end-to-end, chaos.
# Without root or a Docker engine it runs what it can and names what it skipped.
# Usage: npm test            everything
#        npm test -- unit    one group (unit, sim, compat, e2e, chaos), or compiled test files
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
started=$SECONDS

step() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - started)); }

fail() {
  printf '%s\n0 passed, 1 failed\n' "$1"
  exit 1
}

step "install"
if [ ! -d node_modules ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund --loglevel=error || fail "npm ci failed"
fi
if [ "$(id -u)" -eq 0 ]; then
  bash deploy/install-deps.sh engine test || echo "some packages could not be installed: tests that need them are skipped"
  bash deploy/install-deps.sh engines || echo "other engine releases could not be fetched: tests on them are skipped"
else
  echo "not root: tests that need real hosts are skipped"
fi

step "build"
npm run -s build || fail "the build failed"

step "lint"
npm run -s lint || fail "lint failed"

step "tests"
node test/dist/runner/main.js "$@"
code=$?
exit "$code"
