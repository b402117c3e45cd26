# Helpers around apt: sourced, never run. Everything here is safe to repeat.

# True when dpkg knows the package as installed.
package_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Brings the package lists up to date, once a shell.
refresh_package_lists() {
  [ -z "${package_lists_fresh:-}" ] || return 0
  apt-get -q -y update >"$apt_log" 2>&1 || { tail -n 20 "$apt_log" >&2; return 1; }
  package_lists_fresh=1
}

# Runs a command while Debian's maintainer scripts may start no service: an engine that comes
# with a package must not take this machine's bridge, firewall and socket unasked.
without_service_starts() {
  if [ -e /usr/sbin/policy-rc.d ]; then
    "$@"
    return
  fi
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  local status=0
  "$@" || status=$?
  rm -f /usr/sbin/policy-rc.d
  return "$status"
}

# Installs those of the named packages that are missing; says in one line which.
install_packages() {
  local missing=() name
  for name in "$@"; do
    package_installed "$name" || missing+=("$name")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    echo "missing, and only root can install them: ${missing[*]}" >&2
    return 1
  fi
  echo "installing ${missing[*]}"
  refresh_package_lists
  DEBIAN_FRONTEND=noninteractive without_service_starts \
    apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}" \
    >"$apt_log" 2>&1 || { tail -n 20 "$apt_log" >&2; return 1; }
}

# Installs those of the named packages that are missing, whose services of the same name start neither now nor at the
# next boot: a firewall that the tests run in namespaces of theirs must not become this machine's.
install_idle() {
  local name
  for name in "$@"; do
    package_installed "$name" && continue
    install_packages "$name"
    if command -v systemctl >/dev/null; then
      systemctl --no-reload disable "$name.service" >"$apt_log" 2>&1 || { tail -n 20 "$apt_log" >&2; return 1; }
    fi
  done
}

# The Debian mirror this machine's own apt reads its main archive from.
debian_mirror() {
  apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "Debian" && $2 == "main" && $3 !~ /security/ { print $3; exit }'
}

# suite_apt DIR SUITE ARGS…: apt-get with a configuration of its own in DIR that knows only SUITE,
# so that packages of another release can be fetched and the machine's own apt never learns of them.
suite_apt() {
  local dir=$1 suite=$2
  shift 2
  mkdir -p "$dir/lists/partial" "$dir/archives/partial" "$dir/empty"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$(debian_mirror)" "$suite" \
    >"$dir/sources.list"
  # Its maker may have written what counts as installed there, to keep it from being fetched.
  [ -e "$dir/status" ] || : >"$dir/status"
  apt-get -q -y -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts="$dir/empty" \
    -o Dir::State::Lists="$dir/lists" -o Dir::State::status="$dir/status" -o Dir::Cache::Archives="$dir/archives" \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
}
