#!/usr/bin/env bash
# A running swarmd cluster from a fresh clone on Debian: installs what is missing, builds, and brings up an example.
#   npm run quickstart                        one node, on this machine's Docker Engine
#   npm run quickstart -- --hosts 3           three hosts on this machine, each with an engine of its own (root)
#   npm run quickstart -- --kill host-3       power off one of those hosts; --start host-3 switches it on again
#   npm run quickstart -- --stop              stop and remove everything that it made
# Flags: --port N      port of the example's page (8080)
#        --name NAME   another name for the hosts (quickstart)
#        --no-build    this tree is installed and built already
# Safe to run again: it finds the running cluster and deploys the example anew.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
# shellcheck source=lib/steps.sh
. "$here/lib/steps.sh"
program="$root/packages/testkit/dist/src/quickstart/main.js"
# Debian keeps daemons where a user's PATH does not look.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

build=yes stop='' hosts=''
for word in "$@"; do
  case $word in
    -h | --help)
      sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --no-build) build='' ;;
    --stop | --kill* | --start*) stop=yes ;;
    --hosts*) hosts=yes ;;
    --port* | --name*) ;;
    -*)
      printf 'no such flag: %s\nSee: npm run quickstart -- --help\n' "$word" >&2
      exit 2
      ;;
  esac
done

need_node() {
  local major
  major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) || major=0
  [ "$major" -ge 20 ] || stop_here "Node.js 20 or later is needed, found: $(node --version 2>/dev/null || echo none)"
}

npm_packages() {
  if [ -d "$root/node_modules" ] && [ ! "$root/package-lock.json" -nt "$root/node_modules/.package-lock.json" ]; then
    return 0
  fi
  step "npm packages" "is the npm registry within reach? Then: npm ci" \
    npm --prefix "$root" ci --no-audit --no-fund --loglevel=error
}

debian_packages() {
  if [ -n "$hosts" ]; then
    [ "$(id -u)" -eq 0 ] || stop_here "hosts on this machine need root: sudo npm run quickstart -- --hosts 3"
    # Without apt the program names what is missing.
    command -v apt-get >/dev/null || return 0
    step "Debian packages for hosts" "what apt said stands above" bash "$here/install-deps.sh" hosts
  elif [ "$(id -u)" -eq 0 ] && ! command -v dockerd >/dev/null && ! engine_answers; then
    step "Docker Engine from Debian" "install Docker Engine 20.10 or later by hand: https://docs.docker.com/engine/install/" \
      bash "$here/install-deps.sh" engine
  fi
}

need_node
if [ -n "$stop" ]; then
  # What an earlier run made, its program can take away; a tree that was cleaned since is built for it.
  [ -e "$program" ] || build_tree=yes
else
  [ -z "$build" ] || build_tree=yes
  debian_packages
fi
if [ -n "${build_tree:-}" ]; then
  npm_packages
  step "Build" "the compiler's messages stand above" npm --prefix "$root" run -s build
fi
exec node --enable-source-maps "$program" "$@"
