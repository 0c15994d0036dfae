# SPDX-License-Identifier: BSD-2-Clause
"""A client that speaks TLS with a server's protocol in memory, by another library than it uses."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

from twisted.internet.testing import StringTransport


class Wire(StringTransport):
    """The server's end of a TCP connection in memory."""

    def setTcpNoDelay(self, enabled: bool) -> None: ...


class TlsClient:
    """One connection to what ``factory`` serves, whose timers go by ``clock``."""

    def __init__(
        self,
        factory: Any,
        clock: Any,
        context: ssl.SSLContext,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.wire = Wire()
        self._clock = clock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname="localhost", session=session
        )
        self.server = factory.buildProtocol(None)
        self.server.makeConnection(self.wire)

    def greet(self) -> None:
        """Send the first message of the handshake."""
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self.server.dataReceived(self._outgoing.read())

    def shake_hands(self) -> None:
        """Do the handshake to its end, and read the session ticket that follows it."""
        for _ in range(4):
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.carry()
        self.carry()
        self.read()

    def carry(self) -> None:
        """Deliver what both sides have written."""
        if self._outgoing.pending:
            self.server.dataReceived(self._outgoing.read())
        self._clock.advance(0)
        self._incoming.write(self.wire.value())
        self.wire.clear()

    def ask(self, data: bytes) -> bytes:
        """Send bytes; what comes back."""
        self.tls.write(data)
        self.carry()
        return self.read()

    def read(self) -> bytes:
        found = b""
        try:
            while piece := self.tls.read(65536):
                found += piece
        except ssl.SSLWantReadError:
            pass
        return found


def client_context(authority: bytes, **settings: Any) -> ssl.SSLContext:
    """What a client needs that trusts an authority; ``settings`` are attributes of it."""
    context = ssl.create_default_context(cadata=authority.decode())
    for name, value in settings.items():
        setattr(context, name, value)
    return context
