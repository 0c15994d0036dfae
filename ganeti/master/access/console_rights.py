# SPDX-License-Identifier: BSD-2-Clause
"""Who may use the consoles of which instances: checked for a ticket, when it is brought, and for as
long as the console is open.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ganeti.access.tokens import digest_of
from ganeti.config.state import ClusterState
from ganeti.errors import AccessDenied, Code, GanetiError, Refused, Unauthenticated
from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import MAX_WAIT, CreateConsoleTicket
from ganeti.master.access.caller_identity import Callers, Identity
from ganeti.master.console_tickets import ConsoleTickets
from ganeti.model.instance import Instance
from ganeti.model.users import Role
from ganeti.rpc.instances import TICKET_SECONDS

MAX_TICKETS = 1000
"""How many tickets are waited for; a further one takes the place of the oldest."""

SPENT = "the ticket was used before, or is too old; ask for another one"


@dataclass(frozen=True)
class _Ticket:
    """Who has got a ticket, for an instance, and until when it is good."""

    caller: Caller
    instance: str
    until: float


class ConsoleRights:
    """Hands out tickets to those who operate an instance, and tells when they do no more.

    A ticket is known by its digest, for the instance as it was then, by its UUID: neither a ticket
    nor an open console is good for another instance that gets the name.
    """

    def __init__(
        self,
        callers: Callers,
        state: Callable[[], ClusterState],
        tickets: ConsoleTickets,
        clock: IReactorTime,
    ) -> None:
        self._callers = callers
        self._state = state
        self._tickets = tickets
        self._clock = clock
        self._handed_out: OrderedDict[tuple[str, str], _Ticket] = OrderedDict()
        self._watched: dict[Deferred[None], tuple[Caller, str]] = {}

    def require_operator(self, who: Identity, instance: Instance) -> None:
        """Refuse a caller who does not operate an instance.

        :raises AccessDenied: it lacks the role for it.
        """
        if not who.rights.allow_on(Role.OPERATOR, instance, self._state()):
            raise AccessDenied(
                f"the consoles of instance {instance.name} need the role operator for it, which"
                f" user {who.called} does not have"
            )

    async def create(self, caller: Caller, instance: str, request: CreateConsoleTicket) -> Any:
        """Have the node make a ticket, and note whose it is."""
        answer = await self._tickets.create_ticket(
            instance, request.stream, request.viewer, take_over=request.take_over
        )
        key = answer["node"], digest_of(answer["ticket"])
        until = self._clock.seconds() + TICKET_SECONDS
        self._handed_out[key] = _Ticket(caller, instance, until)
        if len(self._handed_out) > MAX_TICKETS:
            self._handed_out.popitem(last=False)
        return answer

    async def screenshot(self, instance: str) -> str:
        """Return a small picture of the screen of an instance, by its name or UUID."""
        return await self._tickets.take_screenshot(instance)

    async def redeem(self, node: str, ticket: str) -> dict[str, Any]:
        """Return who has got a ticket and for which instance; it is spent by that.

        :raises Refused: it was spent, is too old, or never was.
        :raises AccessDenied: its owner may not use the console any more.
        """
        found = self._handed_out.pop((node, digest_of(ticket)), None)
        if found is None or found.until < self._clock.seconds():
            raise Refused(SPENT, Code.STATE)
        try:
            who = self._require(found.caller, found.instance)
        except Unauthenticated as e:
            raise AccessDenied(str(e)) from None
        caller = msgspec.to_builtins(found.caller)
        return {"caller": caller, "user": who.called, "instance": found.instance}

    async def watch(self, caller: Caller, instance: str, timeout: float) -> None:
        """Return after ``timeout`` seconds, unless the caller loses the right before.

        :raises Unauthenticated: the caller is refused.
        :raises AccessDenied: it does not operate the instance.
        :raises Refused: the instance is not there any more.
        """
        self._require(caller, instance)
        over: Deferred[None] = Deferred()
        timer = self._clock.callLater(max(0.0, min(timeout, MAX_WAIT)), over.callback, None)
        self._watched[over] = caller, instance
        try:
            await over
        finally:
            del self._watched[over]
            if timer.active():
                timer.cancel()
        # The wait may have ended because the right has gone.
        self._require(caller, instance)

    def recheck(self) -> None:
        """Tell those who watch, if their right has gone."""
        for over, (caller, instance) in list(self._watched.items()):
            try:
                self._require(caller, instance)
            except GanetiError:
                if not over.called:
                    over.callback(None)

    def _require(self, caller: Caller, instance: str) -> Identity:
        who = self._callers.identify(caller)
        found = self._state().instances.get(instance)
        if found is None:
            raise Refused("the instance does not exist any more", Code.UNKNOWN)
        self.require_operator(who, found)
        return who
