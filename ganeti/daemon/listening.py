# SPDX-License-Identifier: BSD-2-Clause
"""Listening and reaching others on the network, with words for why it does not work."""

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

from ganeti.errors import Code, Refused, Unreachable
from ganeti.system.connection_errors import explain

BACKLOG = 128
"""How many connections wait until they are accepted."""

REACH_TIMEOUT = 5.0

_WORDS = {
    errno.EADDRINUSE: "another program listens there already; stop it, or choose another port"
    " with -p or another address with -b",
    errno.EADDRNOTAVAIL: "no interface of this host has that address; is it this node's?",
    errno.EACCES: "only root may listen there; choose a port above 1023 with -p",
}


async def listen_at(
    endpoint: IStreamServerEndpoint, factory: IProtocolFactory, address: str, port: int
) -> Any:
    """Accept connections at an endpoint, which is that of ``address`` and ``port``.

    :raises Refused: the operating system does not let us; the text says what to do.
    """
    try:
        return await endpoint.listen(factory)
    except CannotListenError as e:
        raise _refused(e, address, port) from None


def _refused(error: CannotListenError, address: str, port: int) -> Refused:
    number = getattr(error.socketError, "errno", None)
    why = _WORDS.get(number) or os.strerror(number) if number else str(error.socketError)
    return Refused(f"cannot listen on {address} port {port}: {why}", Code.ENVIRONMENT)


def keep_unsent(port: Any, size: int) -> None:
    """Let the kernel take no more than ``size`` bytes for a client ahead of what it can receive.

    Otherwise it takes megabytes for each client, as its own memory, which nobody counts. Holds for
    connections that are accepted from now on, by whatever process.
    """
    port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)


def send_at_once(port: Any) -> None:
    """Let what is written leave at once, also what does not fill a packet (``TCP_NODELAY``).

    Otherwise an answer waits until the client has acknowledged the session ticket before it. Holds
    for connections that are accepted from now on, by whatever process.
    """
    port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def reach(reactor: Any, host: str, port: int) -> Deferred[None]:
    """Open a connection to see that it can be opened, and close it.

    :raises Unreachable: it cannot.
    """
    attempt = _Attempt(host)
    attempt.connector = reactor.connectTCP(host, port, attempt, timeout=REACH_TIMEOUT)
    return attempt.done


class _Attempt(ClientFactory):
    noisy = False
    connector: IConnector

    def __init__(self, host: str) -> None:
        self.done: Deferred[None] = Deferred(lambda _: self.connector.disconnect())
        self._host = host

    def buildProtocol(self, addr: IAddress | None) -> None:
        # Without a protocol the connection is closed at once.
        self.done.callback(None)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        if not self.done.called:
            self.done.errback(Unreachable(self._host, explain(reason)))
