#!/usr/bin/env bash
# Installs what is missing on a Debian machine; safe to repeat, and says in a line what it installs.
#   engine   a Docker engine and what swarmd needs beside it
#   etcd     etcd, which keeps the state of clusters with several managers
#   images   what the quickstart makes an image from where there is no registry
#   hosts    what several hosts on one machine need
#   test     what the end-to-end suite and the benchmarks need
#   engines  Docker 26.1 and 28.5 in SWARMD_CACHE_DIR (~/.cache/swarmd), beside the machine's own engine
# Never starts a service and never replaces a docker, dockerd or containerd that is there already.
# Usage: install-deps.sh engine|etcd|images|hosts|test|engines …
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${SWARMD_CACHE_DIR:-${HOME:-/root}/.cache/swarmd}
apt_log=$(mktemp)
trap 'rm -f "$apt_log"' EXIT
# shellcheck source=lib/apt.sh
. "$here/lib/apt.sh"
# shellcheck source=lib/engines.sh
. "$here/lib/engines.sh"

# Debian keeps daemons where a user's PATH does not look.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

install_engine() {
  local names=(iproute2 iputils-ping nftables conntrack iptables util-linux ca-certificates)
  # docker-ce and hand-installed engines stay as they are.
  command -v dockerd >/dev/null || names+=(docker.io)
  install_packages "${names[@]}"
}

install_etcd() {
  command -v etcd >/dev/null || install_packages etcd-server
}

install_images() {
  install_packages busybox-static
}

install_hosts() {
  install_engine
  install_etcd
  install_packages busybox-static util-linux procps
}

install_test() {
  install_engine
  install_etcd
  install_packages busybox-static docker-registry etcd-client apache2-utils strace util-linux iproute2 iperf3 procps xz-utils e2fsprogs libfaketime
  install_idle firewalld ufw
}

install_engines() {
  install_engine
  mkdir -p "$cache"
  fetch_engine "$cache" 26.1 trixie
  fetch_engine "$cache" 28.5 forky
}

if ! command -v apt-get >/dev/null; then
  echo "this machine has no apt: install Docker Engine 20.10 or later, nftables, conntrack, iproute2 and ping by hand" >&2
  exit 1
fi
if [ $# -eq 0 ]; then
  sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
for part in "$@"; do
  case $part in
    engine) install_engine ;;
    etcd) install_etcd ;;
    images) install_images ;;
    hosts) install_hosts ;;
    test) install_test ;;
    engines) install_engines ;;
    *)
      echo "unknown part: $part (engine, etcd, images, hosts, test, engines)" >&2
      exit 2
      ;;
  esac
done
