# SPDX-License-Identifier: BSD-2-Clause
"""Tunnels through a node daemon: HTTP connections that are upgraded to carry another protocol."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ganeti.errors import Code, Failed
from ganeti.rpc.agent import parse_explanation

LUXI_TUNNEL = "luxi"
"""The name of the tunnel to the master daemon on the host of a node daemon."""

LUXI_PROTOCOL = b"ganeti-luxi"
"""The name of LUXI in the header ``Upgrade``."""

MAX_HEAD = 16 * 1024
"""Bytes of an answer before the tunnel is open."""

_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,5})", re.IGNORECASE)


class TunnelClient(Protocol):
    """Asks a node daemon for the tunnel ``name``, and gives the connection to ``inner`` then.

    ``opened`` fires when ``inner`` has the connection, or fails with ``Failed``, of which
    ``explain`` formats the reason for a lost connection. Cancelling closes the connection.
    """

    transport: Any  # of a stream

    def __init__(
        self,
        node: str,
        name: str,
        inner: Protocol,
        explain: Callable[[Failure], str] = Failure.getErrorMessage,
    ) -> None:
        self.opened: Deferred[None] = Deferred(lambda _: self.transport.abortConnection())
        self._node = node
        self._name = name
        self._inner = inner
        self._explain = explain
        self._head = b""
        self._open = False

    def connectionMade(self) -> None:
        self.transport.write(
            b"GET /%b HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n"
            % (self._name.encode("ascii"), self._node.encode("idna"), LUXI_PROTOCOL)
        )

    def dataReceived(self, data: bytes) -> None:
        if self._open:
            self._inner.dataReceived(data)
            return
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        found = _STATUS.match(head)
        if end and found is not None and found[1] == b"101":
            self._open = True
            self._inner.makeConnection(self.transport)
            self.opened.callback(None)
            # The first bytes of the other end may arrive together with the head of the answer.
            if rest:
                self._inner.dataReceived(rest)
        elif len(self._head) > MAX_HEAD or (end and _is_complete(head, rest)):
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._open:
            self._inner.connectionLost(reason)
        elif not self.opened.called:
            body = self._head.partition(b"\r\n\r\n")[2]
            why = parse_explanation(body) if body else self._explain(reason)
            self.opened.errback(Failed(f"node {self._node}: {why}", Code.ENVIRONMENT))


def _is_complete(head: bytes, body: bytes) -> bool:
    length = _LENGTH.search(head)
    return length is None or len(body) >= int(length[1])
