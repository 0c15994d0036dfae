# SPDX-License-Identifier: BSD-2-Clause
"""The users of this host, as its name services know them."""

from __future__ import annotations

import pwd

from zope.interface import implementer

from ganeti.system.interfaces import HostUser, IAccounts
from ganeti.system.threads import InThread


@implementer(IAccounts)
class LocalAccounts:
    """The users of this host; in a thread, as a directory server may have to be asked."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread

    async def find(self, name: str) -> HostUser | None:
        return await self._in_thread(_find, name)

    async def find_by_id(self, user: int) -> HostUser | None:
        return await self._in_thread(_find_by_id, user)


def _find(name: str) -> HostUser | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return HostUser(found.pw_uid, found.pw_gid)


def _find_by_id(user: int) -> HostUser | None:
    try:
        found = pwd.getpwuid(user)
    except KeyError:
        return None
    return HostUser(found.pw_uid, found.pw_gid)
