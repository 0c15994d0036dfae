# SPDX-License-Identifier: BSD-2-Clause
"""The site on which a node daemon serves calls, and its requests."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime, ITransport
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.rpc.body_limits import BodyBudget
from ganeti.rpc.callers import Callers, Peer
from ganeti.rpc.channel import RpcChannel
from ganeti.rpc.resource import CallResource, Unauthenticated
from ganeti.rpc.server import CallHandlers
from ganeti.web.channel import LimitedChannel
from ganeti.web.request import MemoryRequest
from ganeti.web.site import LimitedSite

MAX_CONNECTIONS = 1000
MAX_STRANGERS = 50
"""How many connections may be open whose peers are no members of the cluster."""


class RpcRequest(MemoryRequest):
    """A call on its way.

    ``call`` is its method and its name; ``limit`` is how many bytes its body may have, None if the
    body is discarded as it arrives.
    """

    channel: RpcChannel | None
    call: tuple[bytes, str]

    def __init__(self, channel: RpcChannel, *args: Any, **named: Any) -> None:
        super().__init__(channel, *args, **named)
        self.limit: int | None = None

    def handleContentChunk(self, data: bytes) -> None:
        if self.content is None or self.channel is None or self.limit is None:
            return
        size = self.content.tell() + len(data)
        if size > self.limit:
            self.channel.refuse_length(self.limit)
        elif self.channel.site.bodies.keep(self.channel, size):
            self.content.write(data)
        else:
            why = "too many large requests are under way; make the call again later"
            self.channel.refuse(HTTPStatus.SERVICE_UNAVAILABLE, why)

    def take_body(self) -> bytes:
        """Return the body, which the request keeps no longer."""
        content, self.content = self.content, None
        return content.getvalue() if content is not None else b""


class RpcSite(LimitedSite):
    """Serve ``answers`` to those whose role they are for, ``unauthenticated`` to everybody.

    ``identity`` is asked once per connection for what the peer's certificate says, and ``callers``
    for each request for the peer's role.
    """

    requestFactory = RpcRequest
    protocol = RpcChannel  # type: ignore[assignment]  # without that of HTTP/2
    _log = Logger()

    def __init__(
        self,
        answers: CallHandlers,
        identity: Callable[[ITransport], Peer | None],
        callers: Callers,
        clock: IReactorTime,
        unauthenticated: Unauthenticated | None = None,
        *,
        explain: Callable[[Failure], str] = Failure.getErrorMessage,
    ) -> None:
        self.calls = CallResource(answers, unauthenticated or {})
        super().__init__(self.calls, clock, max_connections=MAX_CONNECTIONS, explain=explain)
        self.identity = identity
        self.callers = callers
        self.bodies = BodyBudget()
        self._work: set[Deferred[None]] = set()
        self._quiet: Deferred[None] = Deferred()

    def buildProtocol(self, addr: IAddress | None) -> RpcChannel:  # type: ignore[override]
        channel: RpcChannel = super().buildProtocol(addr)
        return channel

    def is_full_of_strangers(self) -> bool:
        """Whether no more peers are served that are no members of the cluster."""
        strangers = (each for each in self.connections if isinstance(each, RpcChannel))
        return sum(each.is_stranger for each in strangers) >= MAX_STRANGERS

    async def end(self) -> None:
        """Stop serving: what may stop anywhere stops now, what must be finished is finished.

        Cancelling it stops everything.
        """
        for channel in self.channels():
            assert isinstance(channel, RpcChannel)
            channel.finish()
        try:
            if self._work:
                await self._quiet
        finally:
            for work in list(self._work):
                work.cancel()
            self.hang_up()

    def lost(self, channel: LimitedChannel) -> None:
        super().lost(channel)
        self.bodies.release(channel)

    def working(self, work: Deferred[None], size: int) -> None:
        """Remember a call that is under way, with a body of ``size`` bytes, until it ends."""
        self._work.add(work)
        # By itself: it may go on when its connection is gone.
        self.bodies.keep(work, size)
        work.addErrback(lambda failure: self._log.failure("an answer broke", failure))
        work.addBoth(lambda _: self._worked(work))

    def _worked(self, work: Deferred[None]) -> None:
        self._work.discard(work)
        self.bodies.release(work)
        if not self._work:
            quiet, self._quiet = self._quiet, Deferred()
            quiet.callback(None)
