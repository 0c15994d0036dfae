# Sourced by ./check and ./quickstart: installs what a bare machine lacks, and nothing twice.
CHECK_PACKAGES="python3-venv curl autoconf automake make qemu-system-x86 busybox-static cpio iproute2 lvm2"

# Installs Debian packages that are missing, if this user may; otherwise says what is missing.
set_up_packages() {
  command -v dpkg-query >/dev/null || return 0
  local missing=""
  for package in $1; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    echo "not installed, and only root can:$missing (apt-get install$missing)" >&2
    return 0
  fi
  echo "installing$missing"
  apt-get -qq update >/dev/null 2>&1
  # shellcheck disable=SC2086  # a list of names
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $missing >/dev/null \
    || echo "some of these could not be installed:$missing" >&2
}

# Makes .venv hold this tree's dependencies ("" or "test") and activates it.
set_up_environment() {
  local extra=${1:+[$1]} stamp
  stamp=.venv/.made-from-${1:-plain}
  if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    [ -x .venv/bin/python ] || python3 -m venv .venv || return 1
    echo "installing the Python packages of pyproject.toml${1:+ for $1}"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".$extra" 2>&1 \
      | grep -v '^WARNING' >&2
    .venv/bin/python -c 'import twisted, msgspec, OpenSSL, immutables' || return 1
    touch "$stamp"
  fi
  export PATH="$PWD/.venv/bin:$PATH"
}
