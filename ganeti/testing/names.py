# SPDX-License-Identifier: BSD-2-Clause
"""Host names in memory: everything has one, but what is said not to."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from zope.interface import implementer

from ganeti.system.interfaces import IHostNames


@implementer(IHostNames)
class MemoryNames:
    """Every name has an address, except those ``unknown``; at those ``used`` a host answers."""

    def __init__(self, *, unknown: Iterable[str] = (), used: Iterable[str] = ()) -> None:
        self.unknown = set(unknown)
        self.used = set(used)

    async def addresses(self, name: str) -> list[str]:
        return [] if name in self.unknown else [address_of(name)]

    async def in_use(self, address: str) -> bool:
        return address in {address_of(name) for name in self.used}


def address_of(name: str) -> str:
    """The address of a name."""
    number = zlib.crc32(name.encode())
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
