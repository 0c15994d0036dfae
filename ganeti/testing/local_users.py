# SPDX-License-Identifier: BSD-2-Clause
"""The users of a host, in memory."""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import implementer

from ganeti.system.interfaces import HostUser, IAccounts

ROOT = HostUser(0, 0)


@implementer(IAccounts)
class MemoryAccounts:
    """The users by name; root is one of them."""

    def __init__(self, accounts: Mapping[str, HostUser] | None = None) -> None:
        self.accounts = {"root": ROOT, **(accounts or {})}

    async def find(self, name: str) -> HostUser | None:
        return self.accounts.get(name)

    async def find_by_id(self, user: int) -> HostUser | None:
        return next((each for each in self.accounts.values() if each.user == user), None)
