# SPDX-License-Identifier: BSD-2-Clause
"""Name resolution on this node, for ``ResolveName``."""

from __future__ import annotations

from ganeti.rpc.node import ResolvedName, ResolveName
from ganeti.system.interfaces import IHostNames


class Names:
    """Host names as this node resolves them."""

    def __init__(self, names: IHostNames) -> None:
        self._names = names

    async def resolve(self, call: ResolveName) -> ResolvedName:
        addresses = await self._names.addresses(call.name)
        answers = False
        for address in addresses if call.probe else ():
            answers = answers or await self._names.in_use(address)
        return ResolvedName(addresses=tuple(addresses), answers=answers)
