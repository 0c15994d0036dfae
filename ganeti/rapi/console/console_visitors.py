# SPDX-License-Identifier: BSD-2-Clause
"""Who brings a ticket for a console, and for how long that one may keep it open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec

from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import RedeemConsoleTicket, WatchConsole
from ganeti.rapi.admission import describe
from ganeti.rapi.authentication import Authenticator

CHECK_SECONDS = 15.0
"""How often it is asked whether a visitor may stay; the master tells at once if not so."""


class Visitor(msgspec.Struct, frozen=True):
    """Who has got a ticket, and the UUID of the instance that it is for."""

    caller: Caller
    user: str
    instance: str


class ConsoleAuthorization(Protocol):
    """Knows who may use consoles."""

    async def redeem(self, node: str, ticket: str) -> Visitor:
        """Return who has got a ticket; it is spent by that.

        :raises GanetiError: it is not good, or its owner may not use it any more.
        """
        ...

    async def watch(self, visitor: Visitor, *, active: bool) -> None:
        """Return after a while in which the visitor may stay; ``active`` visitors send something.

        :raises Unauthenticated: the visitor is refused.
        :raises AccessDenied: the visitor lacks the role.
        :raises GanetiError: it cannot be said now, or the instance is gone.
        """
        ...


@dataclass(frozen=True)
class MasterRights:
    """The rights as the master knows them, and the users file."""

    authenticator: Authenticator
    master: IMaster

    async def redeem(self, node: str, ticket: str) -> Visitor:
        told = await self.master.ask(RedeemConsoleTicket(node=node, ticket=ticket))
        visitor = msgspec.convert(told, Visitor)
        await describe(self.authenticator, self.master, visitor.caller)
        return visitor

    async def watch(self, visitor: Visitor, *, active: bool) -> None:
        await describe(self.authenticator, self.master, visitor.caller)
        request = WatchConsole(instance=visitor.instance, active=active, timeout=CHECK_SECONDS)
        await self.master.ask(request, visitor.caller)
