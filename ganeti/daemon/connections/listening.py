# SPDX-License-Identifier: BSD-2-Clause
"""Listening and connecting on the network, with explanations of errors."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure

from ganeti.daemon.process.reactor import Reactor
from ganeti.errors import Code, Refused, Unreachable
from ganeti.system.connection_errors import explain

BACKLOG = 128
"""How many connections may wait to be accepted."""

REACH_TIMEOUT = 5.0

_ADVICE = {
    errno.EADDRINUSE: "another program uses this port; stop it, or choose another port with -p"
    " or another address with -b",
    errno.EADDRNOTAVAIL: "this host has no such address; check that it belongs to this node",
    errno.EACCES: "permission denied; use a port above 1023 with -p, or run as root",
}


async def listen_at(
    endpoint: IStreamServerEndpoint, factory: IProtocolFactory, address: str, port: int
) -> Any:
    """Listen on an endpoint of ``address`` and ``port``; return the port.

    :raises Refused: if that fails; the message says what to do.
    """
    try:
        return await endpoint.listen(factory)
    except CannotListenError as e:
        raise _listen_error(e, address, port) from None


def _listen_error(error: CannotListenError, address: str, port: int) -> Refused:
    number = getattr(error.socketError, "errno", None)
    why = _ADVICE.get(number) or os.strerror(number) if number else str(error.socketError)
    return Refused(f"cannot listen on {address} port {port}: {why}", Code.ENVIRONMENT)


def limit_unsent(port: Any, size: int) -> None:
    """Limit the unsent bytes that the kernel buffers for each client (``TCP_NOTSENT_LOWAT``).

    Otherwise it buffers megabytes for each client, which no quota counts. Applies to all
    connections accepted from now on, by any process.
    """
    port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)


def disable_nagle(port: Any) -> None:
    """Disable Nagle's algorithm (``TCP_NODELAY``).

    Otherwise an answer is delayed until the client acknowledges the TLS session ticket sent before
    it. Applies to all connections accepted from now on, by any process.
    """
    port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def reach(reactor: Reactor, host: str, port: int) -> Deferred[None]:
    """Open a connection to check that the host is reachable, and close it.

    :raises Unreachable: if the connection fails.
    """
    attempt = _ConnectionAttempt(host)
    attempt.connector = reactor.connectTCP(host, port, attempt, timeout=REACH_TIMEOUT)
    return attempt.done


class _ConnectionAttempt(ClientFactory):
    noisy = False
    connector: IConnector

    def __init__(self, host: str) -> None:
        self.done: Deferred[None] = Deferred(lambda _: self.connector.disconnect())
        self._host = host

    def buildProtocol(self, addr: IAddress | None) -> None:
        # Without a protocol, Twisted closes the connection at once.
        self.done.callback(None)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        if not self.done.called:
            self.done.errback(Unreachable(self._host, explain(reason)))
