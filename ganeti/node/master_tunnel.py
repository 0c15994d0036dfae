# SPDX-License-Identifier: BSD-2-Clause
"""Connections of the remote API on other master candidates to the master daemon on this host.

A candidate asks for an upgrade of its HTTP connection (RFC 9110, section 7.8). The connection then
carries LUXI, which this node daemon passes on to the socket of the master daemon and back, no
faster than each side reads. Candidates can already become the master, so this gives them no more
rights; the master decides what the users of their remote API may do, as for its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.errors import Code, Refused
from ganeti.rpc.tunnels import LUXI_PROTOCOL
from ganeti.web.channel_producer import ChannelProducer

if TYPE_CHECKING:
    from ganeti.web.request import MemoryRequest

MAX_TUNNELS = 600
"""How many are open at once; more than half of the connections that a node daemon accepts."""

ConnectMaster: TypeAlias = Callable[[Protocol], Awaitable[object]]
"""Connects a protocol to the master daemon of this host; fails with ``GanetiError``."""


async def no_master(protocol: Protocol) -> object:
    """Connect to nothing, where there is no master daemon."""
    raise Refused("no master daemon runs on this node", Code.STATE)


class MasterTunnels:
    """Opens connections to the master daemon for other candidates."""

    def __init__(self, connect: ConnectMaster, *, max_tunnels: int = MAX_TUNNELS) -> None:
        self._connect = connect
        self._max_tunnels = max_tunnels
        self._open: set[_Tunnel] = set()

    async def open(self, request: MemoryRequest) -> None:
        """Connect the client of a request to the master daemon.

        :raises Refused: the request asks for another protocol, or too many connections are open.
        :raises GanetiError: no master daemon answers on this host.
        """
        if (request.getHeader(b"upgrade") or b"").lower() != LUXI_PROTOCOL:
            raise Refused("the request does not ask for an upgrade to LUXI", Code.INPUT)
        if len(self._open) >= self._max_tunnels:
            raise Refused(
                f"{self._max_tunnels} connections of remote APIs to the master are open already",
                Code.TEMPORARY,
            )
        tunnel = _Tunnel(request, self._open.discard)
        self._open.add(tunnel)
        try:
            await self._connect(tunnel)
        except BaseException:
            self._open.discard(tunnel)
            raise
        tunnel.begin()


@implementer(IPushProducer)
class _Tunnel(Protocol):
    """The connection to the master daemon, and that of the client beside it."""

    transport: Any  # ITransport, IConsumer and IPushProducer at once

    def __init__(self, request: MemoryRequest, ended: Callable[[_Tunnel], None]) -> None:
        self._request: Any = request  # whose producer functions have no types
        self._channel: Any = request.channel
        self._ended = ended
        self._client_open = True

    def begin(self) -> None:
        """Answer the client, and pass on what it sends."""
        if self._request.channel is None or self._channel.transport is None:
            self.transport.loseConnection()  # the client has disconnected meanwhile
            return
        if ITCPTransport.providedBy(self._channel.transport):
            # A host that has lost power does not close its connections.
            self._channel.transport.setTcpKeepAlive(True)
        self.transport.registerProducer(ChannelProducer(self._channel), True)
        self._request.notifyFinish().addBoth(lambda _: self._on_client_lost())
        self._request.registerProducer(self, True)
        status = HTTPStatus.SWITCHING_PROTOCOLS
        self._channel.write(
            b"HTTP/1.1 %d %b\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n"
            % (status, status.phrase.encode("ascii"), LUXI_PROTOCOL)
        )
        self._channel.upgrade(self.transport.write)

    def dataReceived(self, data: bytes) -> None:
        self._channel.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._ended(self)
        if self._client_open:
            self._client_open = False
            # A connection with a producer would stay open until that has ended.
            self._request.unregisterProducer()
            self._channel.loseConnection()

    def _on_client_lost(self) -> None:
        self._client_open = False
        self.transport.unregisterProducer()
        # At once, so that the master cancels what the client was waiting for.
        self.transport.abortConnection()

    # --- how fast the client reads

    def pauseProducing(self) -> None:
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """The client is gone; ``notifyFinish`` reports it, too."""
