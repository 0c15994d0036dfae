# SPDX-License-Identifier: BSD-2-Clause
"""Connections of HTTP clients: one request at a time each, bounded in time, number and memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.rapi import http
from ganeti.rapi.complaints import Complaints
from ganeti.rapi.problems import problem

Answerer = Callable[[http.Request], Awaitable[http.Response]]

MOST_CONNECTIONS = 4000
IDLE_SECONDS = 75.0
"""How long a connection may rest between two requests."""

READ_SECONDS = 20.0
"""How long a request may take to arrive, from its first byte to its last."""

LINGER_SECONDS = 2.0
"""How long a client may go on sending after it was told that this is of no use."""

WRITE_SECONDS = 30.0
SLOWEST_READER = 20000
"""A client that reads its answer more slowly than this (bytes per second) is cut off."""

PIECE = 64 * 1024
"""So much of a large answer is encrypted and queued at once, in bytes."""

MOST_UNSENT = 128 * 1024 * 1024
"""So many bytes of large answers are kept for clients that have not read them."""

MOST_UNREAD = 64 * 1024 * 1024
"""So many bytes of large requests are kept until the rest of them has arrived."""

LARGE = 8192
"""Requests of fewer bytes are bounded by the number of connections."""

READ_AHEAD = 64 * 1024
"""So much of the next requests is kept while one is under way, in bytes."""


@implementer(IPushProducer)
class Connection(Protocol):
    """One client; ``deadline`` is when it must have got on, None while it waits for us."""

    _log = Logger()
    transport: Any  # ITransport, IConsumer and IPushProducer at once

    def __init__(self, site: Site) -> None:
        self._site = site
        self._reader = http.RequestReader()
        self._work: Deferred[None] | None = None
        self._drained: Deferred[None] | None = None
        self._busy = False
        self._serving = False
        self._reading = True
        self._ending = False
        self.deadline: float | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost if it were closed."""
        return not self._busy and not self._reader.midway

    # --- reading

    def connectionMade(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self._within(READ_SECONDS)
        self._site.connected(self)

    def dataReceived(self, data: bytes) -> None:
        if self._ending:
            return
        if self.idle:
            self._within(READ_SECONDS)
        self._reader.feed(data)
        if not self._busy:
            self._serve()
        elif self._reader.size > READ_AHEAD and self._reading:
            self._reading = False
            self.transport.pauseProducing()
        self._count()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._ending = True
        self._site.received(self)
        self._site.lost(self)
        if self._work is not None:
            self._work.cancel()

    def _serve(self) -> None:
        self._serving = True
        try:
            self._serve_what_is_here()
        finally:
            self._serving = False

    def _serve_what_is_here(self) -> None:
        while not self._busy and not self._ending:
            try:
                request = self._reader.next()
            except http.Malformed as e:
                self._refuse(e.status, str(e))
                return
            if request is None:
                if self._reader.wants_go_ahead():
                    self.transport.write(http.GO_AHEAD)
                if not self._reader.midway:
                    self._within(IDLE_SECONDS)
                return
            self._busy = True
            self.deadline = None
            self._work = Deferred.fromCoroutine(self._respond(request))

    def _count(self) -> None:
        if self._reader.size > LARGE and not self._ending:
            self._site.receiving(self, self._reader.size)
        else:
            self._site.received(self)

    async def _respond(self, request: http.Request) -> None:
        try:
            host = getattr(self.transport.getPeer(), "host", "")
            response = await self._site.answer(msgspec.structs.replace(request, client=host))
            await self._send(request, response)
        except CancelledError:
            return  # the client hung up
        except Exception:
            self._log.failure("answering {uri} broke", uri=request.path)
            self.transport.abortConnection()
            return
        self._busy = False
        if not request.keep:
            self.hang_up()
            return
        if not self._reading:
            self._reading = True
            self.transport.resumeProducing()
        if not self._serving:
            self._serve()
            self._count()

    # --- writing

    async def _send(self, request: http.Request, response: http.Response) -> None:
        head = http.head_of(response, self._site.now(), keep=request.keep)
        body = response.body
        self._within(WRITE_SECONDS + len(body) / SLOWEST_READER)
        if request.method == "HEAD" or response.status == HTTPStatus.NO_CONTENT:
            self.transport.write(head)
        elif len(body) <= PIECE:
            self.transport.write(b"".join((head, body, http.END)))
        else:
            self.transport.write(head)
            self._site.sending(self, len(body))
            try:
                for start in range(0, len(body), PIECE):
                    await self._room()
                    self.transport.write(bytes(body[start : start + PIECE]))
            finally:
                self._site.sent(self)
            self.transport.write(http.END)
        await self._room()

    async def _room(self) -> None:
        if self._drained is not None:
            await self._drained

    def pauseProducing(self) -> None:
        """The client reads more slowly than we write."""
        if self._drained is None:
            self._drained = Deferred()

    def resumeProducing(self) -> None:
        """The client has read what it was sent."""
        if self._drained is not None:
            drained, self._drained = self._drained, None
            drained.callback(None)

    def stopProducing(self) -> None:
        """The transport is about to be lost; ``connectionLost`` does the work."""

    # --- ending

    def hang_up(self) -> None:
        """Close the connection once what was written has left."""
        if not self._ending:
            self._ending = True
            self._within(WRITE_SECONDS)
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def overdue(self) -> None:
        """The deadline has passed."""
        if self._ending or self._busy:
            self._ending = True
            self.transport.abortConnection()
        elif self._reader.midway:
            why = f"send a request within {READ_SECONDS:g} seconds"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, why)
        else:
            self.hang_up()

    def give_up(self) -> None:
        """Let go of what has arrived: there is too much of the kind."""
        if self._busy:
            self._ending = True
            self.transport.abortConnection()
        else:
            why = "too many large requests arrive at once; send it again later"
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, why)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        response = problem(status, why)
        head = http.head_of(response, self._site.now(), keep=False)
        self.transport.write(b"".join((head, response.body, http.END)))
        # Closing now, with bytes of the client unread, would take the answer from it.
        self._ending = True
        self._reader = http.RequestReader()
        self._site.received(self)
        self._within(LINGER_SECONDS)

    def _within(self, seconds: float) -> None:
        self.deadline = self._site.clock.seconds() + seconds


class Site(ServerFactory):
    """Serves ``answer`` to as many clients as are allowed.

    ``now`` tells the time in seconds since the epoch, ``clock`` when something has taken too long.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        answer: Answerer,
        clock: IReactorTime,
        now: Callable[[], float],
        *,
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        self.answer = answer
        self.clock = clock
        self.now = now
        self._most = most_connections
        # In the order of their connecting, which is about that of their deadlines.
        self._connections: dict[Connection, None] = {}
        self._unsent: dict[Connection, int] = {}
        self._unread: dict[Connection, int] = {}
        self._unread_bytes = 0
        self._watch: IDelayedCall | None = None
        self._complain = Complaints(clock, self._log.warn)

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        return Connection(self)

    def connected(self, connection: Connection) -> None:
        """Count a connection; if there are too many, one that is idle has to go, or it itself."""
        if len(self._connections) >= self._most:
            idle = next((other for other in self._connections if other.idle), None)
            self._complain(
                "{n} connections: closing one that is idle" if idle else "{n} connections: full",
                n=self._most,
            )
            (idle or connection).transport.abortConnection()
        self._connections[connection] = None
        if self._watch is None:
            self._watch = self.clock.callLater(1.0, self._look)

    def lost(self, connection: Connection) -> None:
        """Do not count a connection any more."""
        self._connections.pop(connection, None)
        if not self._connections and self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def sending(self, connection: Connection, size: int) -> None:
        """Count a large answer of ``size`` bytes; if there are too many, the oldest has to go."""
        self._unsent[connection] = size
        while sum(self._unsent.values()) > MOST_UNSENT and len(self._unsent) > 1:
            oldest = next(iter(self._unsent))
            self._complain("a client reads too slowly: {peer}", peer=_called(oldest))
            self.sent(oldest)
            oldest.transport.abortConnection()

    def sent(self, connection: Connection) -> None:
        """Do not count a large answer any more."""
        self._unsent.pop(connection, None)

    def receiving(self, connection: Connection, size: int) -> None:
        """Count ``size`` bytes of a request that is not whole; if there are too many, the one that
        has been at it for longest has to go.
        """
        self._unread_bytes += size - self._unread.get(connection, 0)
        self._unread[connection] = size
        while self._unread_bytes > MOST_UNREAD and len(self._unread) > 1:
            oldest = next(iter(self._unread))
            self._complain("too many large requests: gave up {peer}", peer=_called(oldest))
            self.received(oldest)
            oldest.give_up()

    def received(self, connection: Connection) -> None:
        """Do not count what has arrived from it any more."""
        self._unread_bytes -= self._unread.pop(connection, 0)

    def hang_up(self) -> None:
        """Close every connection once what was written has left."""
        for connection in list(self._connections):
            connection.hang_up()

    def _look(self) -> None:
        self._watch = self.clock.callLater(1.0, self._look)
        now = self.clock.seconds()
        for connection in list(self._connections):
            if connection.deadline is not None and connection.deadline < now:
                connection.overdue()


def _called(connection: Connection) -> str:
    peer = connection.transport.getPeer()
    return f"{peer.host}:{peer.port}"
