# SPDX-License-Identifier: BSD-2-Clause
"""Where the sockets, the pid file and the log of a guest's QEMU are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import quote

from ganeti.errors import Refused

_MAX = 107
"""The bytes that the kernel has for the path of a Unix socket, its final zero excluded."""


@dataclass(frozen=True)
class RuntimePaths:
    """The files of one guest."""

    qmp: str
    serial: str
    agent: str
    vnc: str
    pid: str
    log: str

    @property
    def all(self) -> tuple[str, ...]:
        return (self.qmp, self.serial, self.agent, self.vnc, self.pid, self.log)


def places(folder: str, name: str) -> RuntimePaths:
    """The files of the guest ``name`` below ``folder``; a long name is replaced by its digest.

    :raises Refused: the folder is so deep that no socket in it can have a path.
    """
    stem = f"{folder}/{quote(name, safe='')}"
    if not _fits(stem):
        stem = f"{folder}/{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    if not _fits(stem):
        raise Refused(
            f"no guest can have a control socket in {folder}, whose path is too long for Unix"
            f" sockets ({_MAX} bytes): use a shorter root folder"
        )
    suffixes = ("qmp", "serial", "agent", "vnc", "pid", "log")
    return RuntimePaths(*(f"{stem}.{suffix}" for suffix in suffixes))


def _fits(stem: str) -> bool:
    return len(f"{stem}.serial".encode()) <= _MAX
