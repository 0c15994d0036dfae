# SPDX-License-Identifier: BSD-2-Clause
"""The paths of the sockets, pid file, log, seed volume and TPM of a guest's QEMU."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import quote

from ganeti.errors import Refused

_MAX_SOCKET_PATH = 107
"""The maximum length of a Unix socket's path, without the final NUL (unix(7))."""


@dataclass(frozen=True)
class RuntimePaths:
    """The files of one guest; ``tpm`` is a directory."""

    qmp: str
    serial: str
    agent: str
    vnc: str
    pid: str
    log: str
    screen: str
    seed: str
    tpm: str
    keys: str
    """A directory with the key of a migration."""
    others: tuple[str, ...] = ()
    """Files that only Ganeti has used."""

    @property
    def all_paths(self) -> tuple[str, ...]:
        sockets = (self.qmp, self.serial, self.agent, self.vnc)
        return (*sockets, self.pid, self.log, self.screen, self.seed, *self.others)


def places(folder: str, name: str) -> RuntimePaths:
    """Return the files of the guest ``name`` in ``folder``; a long name is replaced by its digest.

    :raises Refused: if the path of the folder is too long for sockets in it.
    """
    # A name must not lead out of the folder.
    stem = f"{folder}/{quote(name, safe='')}"
    if not _fits(stem):
        stem = f"{folder}/{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    if not _fits(stem):
        raise Refused(
            f"the path of {folder} is too long for Unix sockets ({_MAX_SOCKET_PATH} bytes); "
            "use a shorter root"
            " directory"
        )
    return RuntimePaths(
        qmp=f"{stem}.qmp",
        serial=f"{stem}.serial",
        agent=f"{stem}.agent",
        vnc=f"{stem}.vnc",
        pid=f"{stem}.pid",
        log=f"{stem}.log",
        screen=f"{stem}.screen",
        seed=f"{stem}.seed",
        tpm=f"{stem}.tpm",
        keys=f"{stem}.keys",
    )


def _fits(stem: str) -> bool:
    # The longest suffix of a socket.
    return len(f"{stem}.serial".encode()) <= _MAX_SOCKET_PATH
