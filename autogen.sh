#!/bin/sh
# Prepares a git checkout for ./configure.
set -e
cd "$(dirname "$0")"
autotools/list-files > autotools/files.am
autoreconf --install
