# SPDX-License-Identifier: BSD-2-Clause
"""Free space for the state of a node, checked before a cluster is created or joined."""

from __future__ import annotations

import os
from typing import NamedTuple

from ganeti.errors import Code, Refused

MIN_FREE = 64 << 20
"""Bytes: with less, the journal or the logs of a new node would be full within days."""


class Space(NamedTuple):
    """The space of a file system: free bytes for this user, and whether it can be written."""

    free: int
    writable: bool


def read_space(folder: str) -> Space:
    """Return the space of the file system that has ``folder``, or will have it once it is made."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    found = os.statvfs(folder)
    return Space(found.f_bavail * found.f_frsize, not found.f_flag & os.ST_RDONLY)


def describe_shortage(folder: str, space: Space) -> str:
    """Return why the daemons could not write to ``folder``, with the remedy; empty if they can."""
    if not space.writable:
        return (
            f"the file system of {folder} is mounted read-only; mount it with: mount -o"
            " remount,rw, and see dmesg, as the kernel does this to file systems with errors"
        )
    if space.free < MIN_FREE:
        return (
            f"the file system of {folder} has {space.free >> 20} MiB of free space, and"
            f" {MIN_FREE >> 20} MiB are needed; remove files there, or enlarge it"
        )
    return ""


def require_space(folder: str, space: Space) -> None:
    """Check that ``folder`` can be written.

    :raises Refused: its file system is full, or mounted read-only.
    """
    if shortage := describe_shortage(folder, space):
        raise Refused(f"{shortage}; nothing was changed", Code.STATE)
