# SPDX-License-Identifier: BSD-2-Clause
"""The asynchronous client for daemons; uses several connections, because each answers in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

import msgspec
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.defer import TimeoutError as GivenUp
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.luxi import framing
from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import Request
from ganeti.luxi.unreachable import ConnectionLost, lost, make_timeout_error

R = TypeVar("R")

ANSWER_SECONDS = 180.0

MAX_CONNECTIONS = 16
"""Maximum number of connections for requests that do not wait for an event."""

MAX_WAITING = 1000
"""Maximum number of requests that wait for an event, each on its own connection.

The limit keeps both ends from running out of connections; further requests are queued.
"""

Connect: TypeAlias = Callable[[Protocol], Awaitable[object]]
"""Connects a protocol to the master; the connection is made when this returns where that is.

:raises NoAnswer: there is no connection, and nothing was sent.
"""


class _ClientConnection(Protocol):
    """A connection with at most one request in progress; ``ended`` is called when it is lost.

    ``place`` is where it leads, as ``Connect`` has returned it.
    """

    def __init__(self, ended: Callable[[_ClientConnection], None]) -> None:
        self._ended = ended
        self._buffer = framing.MessageBuffer(limit=None)
        self._answer: Deferred[bytes] | None = None
        self.place: object = None
        self.open = True

    def send_request(self, message: bytes, *, to_the_end: bool) -> Deferred[bytes]:
        """Send a request; return a Deferred of its answer, or of ``ConnectionLost``.

        Cancelling closes the connection, which cancels the request at the master; with
        ``to_the_end`` the connection is closed after the master has answered.
        """
        assert self.transport is not None
        give_up = self._ignore_answer if to_the_end else self.hang_up
        self._answer = answer = Deferred[bytes](lambda _: give_up())
        self.transport.write(message)
        return answer

    def _ignore_answer(self) -> None:
        self.open = False
        self._answer = None

    def hang_up(self) -> None:
        self.open = False
        self._answer = None
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]  # of stream transports

    def dataReceived(self, data: bytes) -> None:
        for message in self._buffer.receive(data):
            answer, self._answer = self._answer, None
            if answer is None:
                self.hang_up()  # an unexpected answer
                return
            answer.callback(message)

    def close(self) -> None:
        """Close the connection; a request in progress fails with ``ConnectionLost``."""
        answer = self._answer
        self.hang_up()
        if answer is not None:
            answer.errback(ConnectionLost())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.open = False
        self._ended(self)
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.errback(ConnectionLost())


@implementer(IMaster)
class MasterClient:
    """A client of the master; connects on demand, and reconnects.

    After a lost connection, a request that changes nothing is sent once more; one with changes is
    not, because it may have been carried out.
    """

    def __init__(
        self,
        connect: Connect,
        clock: IReactorTime,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        most_waiting: int = MAX_WAITING,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._connections: set[_ClientConnection] = set()
        self._idle: list[_ClientConnection] = []
        self._turns = DeferredSemaphore(MAX_CONNECTIONS)
        self._waits = DeferredSemaphore(most_waiting)

    async def ask(self, request: Request[R], caller: Caller | None = None) -> R:
        answer: R = framing.decoded(await self.ask_raw(request, caller))
        return answer

    async def ask_raw(self, request: Request[object], caller: Caller | None = None) -> msgspec.Raw:
        message = framing.request(request.named(), request, caller)
        turns = self._waits if request.waits else self._turns
        await turns.acquire()
        try:
            return framing.result_of(await self._exchange(request, message))
        finally:
            turns.release()

    def close(self) -> None:
        """Close idle connections; others close when their request is answered or cancelled."""
        idle, self._idle = self._idle, []
        for line in idle:
            line.hang_up()

    def reconnect(self, place: object) -> None:
        """Close the connections that do not lead to ``place``, where the master is now.

        Requests in progress on them fail with ``ConnectionLost``, or are sent to the new master if
        they change nothing.
        """
        self._idle = [line for line in self._idle if line.place == place]
        for line in list(self._connections):
            if line.place != place:
                line.close()

    async def _exchange(self, request: Request[object], message: bytes) -> bytes:
        try:
            return await self._try_once(request, message)
        except ConnectionLost:
            if request.changes:
                raise
        return await self._try_once(request, message)

    async def _try_once(self, request: Request[object], message: bytes) -> bytes:
        line = await self._get_connection()
        try:
            # A change that has begun is not cancelled with the client that asked for it.
            answer = line.send_request(message, to_the_end=request.changes)
            received = await answer.addTimeout(self._answer_seconds, self._clock)
        except GivenUp:
            raise make_timeout_error(request.named(), self._answer_seconds) from None
        except ConnectionLost:
            raise lost(request.named(), request.changes) from None
        if len(self._idle) < MAX_CONNECTIONS:
            self._idle.append(line)
        else:
            line.hang_up()
        return received

    async def _get_connection(self) -> _ClientConnection:
        while self._idle:
            line = self._idle.pop()
            if line.open:
                return line
        line = _ClientConnection(self._connections.discard)
        line.place = await self._connect(line)
        self._connections.add(line)
        return line
