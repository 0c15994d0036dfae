#!/bin/sh
# Prepares a git checkout for ./configure.
set -e
cd "$(dirname "$0")"

list() {
  name=$1; shift
  echo "$name = $(git ls-files -- "$@" | tr '\n' ' ')"
}
mkdir -p autotools
{
  list package_files 'ganeti/*.py'
  list test_files tests
  list tool_files tools
  list doc_files doc
  list launchers 'daemons/ganeti-*.in' 'daemons/gnt-*.in' daemons/move-instance.in
  list examples 'daemons/examples/*.in'
  list man_sources 'man/*.in'
  echo "os_scripts = $(git ls-files -s -- os | awk '$1 == 100755 { print $4 }' | tr '\n' ' ')"
  echo "os_data = $(git ls-files -s -- os | awk '$1 != 100755 { print $4 }' | tr '\n' ' ')"
  echo "unit_tests = $(git ls-files -- 'tests/*/__init__.py' | grep -v -e /system/ -e /bench/ \
    | cut -d/ -f2 | sort -u | sed 's/^/tests./' | tr '\n' ' ') tests.test_imports"
} > autotools/files.am

autoreconf --install
