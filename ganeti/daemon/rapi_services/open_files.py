# SPDX-License-Identifier: BSD-2-Clause
"""How the open files of the remote API are allotted to its clients."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.daemon.process import rlimit
from ganeti.luxi.async_client import MAX_WAITING
from ganeti.web.site import MAX_HANDSHAKES

RESERVED_FILES = 100
"""How many files and connections the daemon needs besides those of its clients."""


@dataclass(frozen=True)
class FileBudget:
    """How the open files are allotted."""

    clients: int
    waiting: int
    """Requests that wait for jobs; each also uses a connection to the master."""
    handshakes: int
    """Connections in the TLS handshake."""


def allocate_files(wanted: int) -> FileBudget:
    """Return the allotment for ``wanted`` clients, reduced to what the host's limit permits."""
    needed = wanted + MAX_WAITING + MAX_HANDSHAKES + RESERVED_FILES
    return divide_files(rlimit.allow(needed), wanted)


def divide_files(files: int, wanted: int) -> FileBudget:
    """Allot so many files for ``wanted`` clients; a half is for clients if there are too few."""
    room = files - RESERVED_FILES
    share = max(1, room // 4, (room - wanted) // 2)
    waiting, handshakes = min(MAX_WAITING, share), min(MAX_HANDSHAKES, share)
    return FileBudget(max(1, min(wanted, room - waiting - handshakes)), waiting, handshakes)
