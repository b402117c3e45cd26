# Docker engines of other releases beside the machine's own: sourced, never run, after apt.sh.

# fetch_engine CACHE VERSION SUITE: puts dockerd, docker-proxy, containerd and its shim of Docker VERSION, as Debian's
# SUITE packs them, into CACHE/engines/VERSION. runc and docker-init stay the machine's: theirs need a newer libc.
fetch_engine() {
  local cache=$1 version=$2 suite=$3
  local target="$cache/engines/$version" work="$cache/apt/$suite" found name
  [ ! -x "$target/dockerd" ] || return 0
  echo "fetching engine $version from Debian $suite"
  suite_apt "$work" "$suite" update >"$apt_log" 2>&1 || { tail -n 20 "$apt_log" >&2; return 1; }
  rm -rf "$work/debs" "$work/root"
  mkdir -p "$work/debs" "$work/root"
  (cd "$work/debs" && suite_apt "$work" "$suite" download docker.io containerd) >"$apt_log" 2>&1 ||
    { tail -n 20 "$apt_log" >&2; return 1; }
  found=$(dpkg-deb -f "$work"/debs/docker.io_*.deb Version)
  case $found in
    "$version".*) ;;
    *)
      echo "Debian $suite has Docker $found now, not $version" >&2
      return 1
      ;;
  esac
  for name in "$work"/debs/*.deb; do
    dpkg -x "$name" "$work/root"
  done
  mkdir -p "$target.new"
  for name in usr/sbin/dockerd usr/sbin/docker-proxy usr/bin/containerd usr/bin/containerd-shim-runc-v2; do
    mv "$work/root/$name" "$target.new/"
  done
  rm -rf "$target"
  mv "$target.new" "$target"
  rm -rf "$work"
}
