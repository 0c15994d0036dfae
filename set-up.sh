# Sourced by ./check and ./quickstart, with $tree set: gets what a bare machine lacks, nothing twice.

# Installs Debian packages that are missing, if this user may; otherwise says what is missing.
set_up_packages() {
  command -v dpkg-query >/dev/null || return 0
  local package missing=()
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || missing+=("$package")
  done
  [ ${#missing[@]} != 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    echo "not installed, and only root can: apt-get install ${missing[*]}" >&2
    return 0
  fi
  echo "installing ${missing[*]}"
  apt-get -qq update >/dev/null 2>&1
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}" \
    >/dev/null 2>&1 || echo "could not be installed: apt-get install ${missing[*]}" >&2
}

# Sets $python to one that is new enough; installs it if this user may.
find_python() {
  local found old=""
  for python in python3 python3.14 python3.13 python3.12 python3.11; do
    found=$(command -v "$python") || continue
    if "$found" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
      python=$found
      return 0
    fi
    old=$("$found" --version)
  done
  if [ -z "$old" ] && [ "$(id -u)" = 0 ]; then
    set_up_packages python3 python3-venv
    python=$(command -v python3) && return 0
  fi
  echo "This needs Python 3.11 or newer, and there is ${old:-none}: install one (Debian 12 and" >&2
  echo "later have it: apt-get install python3 python3-venv) and let it come first in PATH." >&2
  return 1
}

# Sets $python to one with this tree's dependencies, and those of the groups named: one that has
# them all already, or that of .venv, which is made as needed.
set_up_environment() {
  local stamp="$tree/.venv/has${*:+-$*}" lacking host
  python=$tree/.venv/bin/python
  if [ "$stamp" -nt "$tree/pyproject.toml" ] && [ -x "$python" ]; then
    return 0
  fi
  find_python || return 1
  host=$python
  if [ ! -e "$tree/.venv" ] && [ -z "$("$host" "$tree/tools/requirements.py" "$@")" ]; then
    return 0
  fi
  python=$tree/.venv/bin/python
  _make_venv "$host" "$tree/.venv" || return 1
  mapfile -t lacking < <("$python" "$tree/tools/requirements.py" "$@")
  if [ ${#lacking[@]} != 0 ]; then
    echo "installing ${lacking[*]} in .venv"
    # What is used is compiled when it is used.
    _pip "$host" "$tree/.venv" --no-compile "${lacking[@]}" || return 1
  fi
  touch "$stamp"
}

# Sets $lowest_python to one with the lowest versions that pyproject.toml admits, also of the groups
# named: that of .venv-lowest, which is made as needed.
set_up_lowest_environment() {
  local stamp="$tree/.venv-lowest/has${*:+-$*}" wanted python
  lowest_python=$tree/.venv-lowest/bin/python
  if [ "$stamp" -nt "$tree/pyproject.toml" ] && [ -x "$lowest_python" ]; then
    return 0
  fi
  find_python && _make_venv "$python" "$tree/.venv-lowest" || return 1
  mapfile -t wanted < <("$python" "$tree/tools/requirements.py" --lowest "$@")
  echo "installing ${wanted[*]} in .venv-lowest"
  _pip "$python" "$tree/.venv-lowest" --no-compile "${wanted[@]}" || return 1
  touch "$stamp"
}

# Makes a virtual environment of the host's Python $1 in the folder $2.
_make_venv() {
  local pip=()
  [ ! -x "$2/bin/python" ] || return 0
  if "$1" -m pip --version >/dev/null 2>&1; then
    pip=(--without-pip)  # the host's serves, which saves seconds
  elif ! "$1" -c 'import ensurepip' 2>/dev/null; then
    set_up_packages python3-venv
  fi
  "$1" -m venv "${pip[@]}" "$2" && return 0
  rm -rf "$2"
  echo "$2 could not be made; on Debian: apt-get install python3-venv" >&2
  return 1
}

# Installs packages in the environment $2, with the pip of the host's Python $1 if it has none.
_pip() {
  local host=$1 inside=$2/bin/python; shift 2
  local pip=("$inside" -m pip)
  "${pip[@]}" --version >/dev/null 2>&1 || pip=("$host" -m pip --python "$inside")
  "${pip[@]}" -qq --disable-pip-version-check install "$@" && return 0
  echo "the Python packages could not be installed; is there a way to PyPI?" >&2
  return 1
}
