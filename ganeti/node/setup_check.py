# SPDX-License-Identifier: BSD-2-Clause
"""Check the set-up of this host: the kernel's file systems, and who can read keys and secrets."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping

from ganeti.paths import Paths
from ganeti.system.interfaces import IFiles

KERNEL: Mapping[str, str] = {"/proc/meminfo": "/proc", "/sys/class/net": "/sys"}
"""A file or folder of each file system of the kernel that node daemons read."""


def setup_problems(files: IFiles, paths: Paths) -> Iterator[str]:
    """Return what is wrong with the set-up of the host, each with what to do."""
    for path, mount in KERNEL.items():
        if files.stat(path) is None:
            yield f"there is no {path}: mount the kernel's file system on {mount}"
    for path in (paths.node_certificate, *paths.shared_files):
        found = files.stat(path)
        if found is not None and found.mode & stat.S_IRWXO:
            yield f"every user of the host has access to {path}: chmod o= {path}"
