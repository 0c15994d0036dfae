# SPDX-License-Identifier: BSD-2-Clause
"""Checks of the host: mounted kernel file systems, and permissions of keys and secrets."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping

from ganeti.paths import Paths
from ganeti.system.interfaces import IFiles

KERNEL_FILE_SYSTEMS: Mapping[str, str] = {"/proc/meminfo": "/proc", "/sys/class/net": "/sys"}
"""A file or folder of each kernel file system that node daemons read, and its mount point."""


def find_setup_problems(files: IFiles, paths: Paths) -> Iterator[str]:
    """Yield the problems of the host, each with the action to take."""
    for path, mount in KERNEL_FILE_SYSTEMS.items():
        if files.stat(path) is None:
            yield f"{path} does not exist; mount the kernel's file system on {mount}"
    for path in (paths.node_certificate, *paths.shared_files, *paths.store_files):
        found = files.stat(path)
        if found is not None and found.mode & stat.S_IRWXO:
            yield f"{path} is accessible to every user of the host; use chmod o= {path}"
