# SPDX-License-Identifier: BSD-2-Clause
"""The ``twisted.web`` site of a node daemon, and its requests."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from types import MappingProxyType

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime, ITransport
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.rpc.body_limits import BodyBudget
from ganeti.rpc.callers import CallerDirectory, Peer
from ganeti.rpc.channel import RpcChannel
from ganeti.rpc.resource import CallResource, Streams, Tunnels, Unauthenticated
from ganeti.rpc.server import CallHandlers
from ganeti.web.channel import LimitedChannel
from ganeti.web.request import MemoryRequest
from ganeti.web.site import LimitedSite

MAX_CONNECTIONS = 1000
MAX_UNAUTHENTICATED = 50
"""Maximum number of connections from peers that are not members of the cluster."""

NO_STREAMS: Streams = MappingProxyType({})
NO_TUNNELS: Tunnels = MappingProxyType({})


class RpcRequest(MemoryRequest):
    """A request for a call.

    ``call`` is its HTTP method and name; ``limit`` is the maximum body size in bytes, None if the
    body is discarded.
    """

    channel: RpcChannel | None
    call: tuple[bytes, str]

    def __init__(self, channel: RpcChannel, *args: object, **named: object) -> None:
        super().__init__(channel, *args, **named)
        self.limit: int | None = None

    def handleContentChunk(self, data: bytes) -> None:
        if self.content is None or self.channel is None or self.limit is None:
            return
        size = self.content.tell() + len(data)
        if size > self.limit:
            self.channel.refuse_length(self.limit)
        elif self.channel.site.bodies.reserve(self.channel, size):
            self.content.write(data)
        else:
            why = "too many large requests are in progress; retry the call later"
            self.channel.refuse(HTTPStatus.SERVICE_UNAVAILABLE, why)

    def take_body(self) -> bytes:
        """Return the body and remove it from the request, to free its memory early."""
        content, self.content = self.content, None
        return content.getvalue() if content is not None else b""


class RpcSite(LimitedSite):
    """The site for ``answers``, which depend on roles, and ``unauthenticated`` for all.

    ``identity`` is called once per connection and returns the peer from its certificate;
    ``callers`` returns the peer's role for each request. ``streams`` and ``tunnels`` are opened
    for master candidates.
    """

    requestFactory = RpcRequest
    protocol = RpcChannel  # type: ignore[assignment]  # without that of HTTP/2
    _log = Logger()

    def __init__(
        self,
        answers: CallHandlers,
        identity: Callable[[ITransport], Peer | None],
        callers: CallerDirectory,
        clock: IReactorTime,
        unauthenticated: Unauthenticated | None = None,
        *,
        streams: Streams = NO_STREAMS,
        tunnels: Tunnels = NO_TUNNELS,
        explain: Callable[[Failure], str] = Failure.getErrorMessage,
    ) -> None:
        self.calls = CallResource(answers, unauthenticated or {}, streams, tunnels)
        super().__init__(self.calls, clock, max_connections=MAX_CONNECTIONS, explain=explain)
        self.identity = identity
        self.callers = callers
        self.bodies = BodyBudget()
        self._work: set[Deferred[None]] = set()
        self._idle: Deferred[None] = Deferred()

    def buildProtocol(self, addr: IAddress | None) -> RpcChannel:  # type: ignore[override]
        channel: RpcChannel = super().buildProtocol(addr)
        return channel

    def is_unauthenticated_limit_reached(self) -> bool:
        """Return whether the maximum number of peers that are not members is connected."""
        strangers = (each for each in self.connections if isinstance(each, RpcChannel))
        return sum(each.is_unauthenticated for each in strangers) >= MAX_UNAUTHENTICATED

    async def shut_down(self) -> None:
        """Stop serving: cancel calls that can be interrupted, and wait for the others.

        Cancelling this cancels all calls.
        """
        for channel in self.open_channels():
            assert isinstance(channel, RpcChannel)
            channel.finish_and_close()
        try:
            if self._work:
                await self._idle
        finally:
            # A copy, as work that ends removes itself.
            for work in list(self._work):
                work.cancel()
            self.hang_up()

    def lost(self, channel: LimitedChannel) -> None:
        super().lost(channel)
        self.bodies.release(channel)

    def working(self, work: Deferred[None], size: int) -> None:
        """Track a running call, with a body of ``size`` bytes, until it ends."""
        self._work.add(work)
        # Under its own key, because it may outlive its connection.
        self.bodies.reserve(work, size)
        work.addErrback(lambda failure: self._log.failure("a call failed unexpectedly", failure))
        work.addBoth(lambda _: self._work_done(work))

    def _work_done(self, work: Deferred[None]) -> None:
        self._work.discard(work)
        self.bodies.release(work)
        if not self._work:
            quiet, self._idle = self._idle, Deferred()
            quiet.callback(None)
