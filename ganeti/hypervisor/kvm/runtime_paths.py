# SPDX-License-Identifier: BSD-2-Clause
"""The paths of the sockets, pid file and log of a guest's QEMU."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import quote

from ganeti.errors import Refused

_MAX_SOCKET_PATH = 107
"""The maximum length of a Unix socket's path, without the final NUL (unix(7))."""


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
    """Return the files of the guest ``name`` in ``folder``; a long name is replaced by its digest.

    :raises Refused: if the path of the folder is too long for sockets in it.
    """
    stem = f"{folder}/{quote(name, safe='')}"
    if not _fits(stem):
        stem = f"{folder}/{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    if not _fits(stem):
        raise Refused(
            f"the path of {folder} is too long for Unix sockets ({_MAX_SOCKET_PATH} bytes); "
            "use a shorter root"
            " directory"
        )
    suffixes = ("qmp", "serial", "agent", "vnc", "pid", "log")
    return RuntimePaths(*(f"{stem}.{suffix}" for suffix in suffixes))


def _fits(stem: str) -> bool:
    return len(f"{stem}.serial".encode()) <= _MAX_SOCKET_PATH
