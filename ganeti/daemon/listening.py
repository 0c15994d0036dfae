# SPDX-License-Identifier: BSD-2-Clause
"""Listening and reaching others on the network, with words for why it does not work."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IConnector
from twisted.internet.protocol import ClientFactory, ServerFactory
from twisted.python.failure import Failure

from ganeti.errors import Code, Refused, Unreachable
from ganeti.system.tls import words

REACH_PATIENCE = 5.0

_WORDS = {
    errno.EADDRINUSE: "another program listens there already; stop it, or choose another port"
    " with -p or another address with -b",
    errno.EADDRNOTAVAIL: "no interface of this host has that address; is it this node's?",
    errno.EACCES: "only root may listen there; choose a port above 1023 with -p",
}


def listen(reactor: Any, address: str, port: int, factory: ServerFactory) -> Any:
    """Accept connections for ``factory``; answers the port, to be closed with ``stopListening``.

    :raises Refused: the operating system does not let us; the text says what to do.
    """
    try:
        return reactor.listenTCP(port, factory, backlog=128, interface=address)
    except CannotListenError as e:
        number = getattr(e.socketError, "errno", None)
        why = _WORDS.get(number) or os.strerror(number) if number else str(e.socketError)
        raise Refused(f"cannot listen on {address} port {port}: {why}", Code.ENVIRONMENT) from None


def keep_unsent(port: Any, size: int) -> None:
    """Let the kernel take no more than ``size`` bytes for a client ahead of what it can receive.

    Otherwise it takes megabytes for each client, as its own memory, which nobody counts. Holds for
    connections that are accepted from now on, by whatever process.
    """
    port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)


def reach(reactor: Any, host: str, port: int) -> Deferred[None]:
    """Open a connection to see that it can be opened, and close it.

    :raises Unreachable: it cannot.
    """
    attempt = _Attempt(host)
    attempt.connector = reactor.connectTCP(host, port, attempt, timeout=REACH_PATIENCE)
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
            self.done.errback(Unreachable(self._host, words(reason)))
