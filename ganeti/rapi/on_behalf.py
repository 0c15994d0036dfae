# SPDX-License-Identifier: BSD-2-Clause
"""The master as one caller sees it."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from zope.interface import implementer

from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import Request

R = TypeVar("R")


@implementer(IMaster)
class OnBehalf:
    """Passes requests on, each on behalf of ``caller``: the master refuses what that one may not.

    Everything that a client asks for goes through here; without a caller the master would take it
    for a request of an administrator on its own host.
    """

    def __init__(self, master: IMaster, caller: Caller) -> None:
        self._master = master
        self.caller = caller

    async def ask(self, request: Request[R], caller: Caller | None = None) -> R:
        return await self._master.ask(request, caller or self.caller)

    async def ask_raw(self, request: Request[object], caller: Caller | None = None) -> msgspec.Raw:
        return await self._master.ask_raw(request, caller or self.caller)
