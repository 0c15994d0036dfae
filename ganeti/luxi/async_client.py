# SPDX-License-Identifier: BSD-2-Clause
"""The asynchronous client for daemons; uses several connections, because each answers in order."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.defer import TimeoutError as GivenUp
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress, IConnector, IReactorTime, IReactorUNIX
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.luxi import framing
from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import Request
from ganeti.luxi.unreachable import ConnectionLost, lost, make_connect_error, make_timeout_error

R = TypeVar("R")

CONNECT_SECONDS = 30
ANSWER_SECONDS = 180.0

MAX_CONNECTIONS = 16
"""Maximum number of connections for requests that do not wait for an event."""

MAX_WAITING = 1000
"""Maximum number of requests that wait for an event, each on its own connection.

The limit keeps both ends from running out of connections; further requests are queued.
"""


class _ClientConnection(Protocol):
    """A connection with at most one request in progress."""

    def __init__(self, made: Deferred[_ClientConnection]) -> None:
        self._made = made
        self._buffer = framing.MessageBuffer(limit=None)
        self._answer: Deferred[bytes] | None = None
        self.open = True

    def connectionMade(self) -> None:
        self._made.callback(self)

    def ask(self, message: bytes, *, to_the_end: bool) -> Deferred[bytes]:
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

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.open = False
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.errback(ConnectionLost())


class _ClientConnectionFactory(ClientFactory):
    """Creates a single connection."""

    noisy = False

    def __init__(self, made: Deferred[_ClientConnection]) -> None:
        self._made = made

    def buildProtocol(self, addr: IAddress | None) -> _ClientConnection:
        return _ClientConnection(self._made)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self._made.errback(reason)


@implementer(IMaster)
class MasterClient:
    """A client of the master on the socket ``path``; connects on demand, and reconnects.

    After a lost connection, a request that changes nothing is sent once more; one with changes is
    not, because it may have been carried out.
    """

    def __init__(
        self,
        unix: IReactorUNIX,
        clock: IReactorTime,
        path: str,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        most_waiting: int = MAX_WAITING,
    ) -> None:
        self._unix = unix
        self._clock = clock
        self._path = path
        self._answer_seconds = answer_seconds
        self._idle: list[_ClientConnection] = []
        self._turns = DeferredSemaphore(MAX_CONNECTIONS)
        self._waits = DeferredSemaphore(most_waiting)

    async def ask(self, request: Request[R], caller: Caller | None = None) -> R:
        answer: R = framing.decoded(await self.ask_raw(request, caller))
        return answer

    async def ask_raw(self, request: Request[Any], caller: Caller | None = None) -> msgspec.Raw:
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

    async def _exchange(self, request: Request[Any], message: bytes) -> bytes:
        try:
            return await self._try_once(request, message)
        except ConnectionLost:
            if request.changes:
                raise
        return await self._try_once(request, message)

    async def _try_once(self, request: Request[Any], message: bytes) -> bytes:
        line = await self._get_connection()
        try:
            answer = line.ask(message, to_the_end=request.changes)
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
        made: Deferred[_ClientConnection] = Deferred(lambda _: connector.disconnect())
        try:
            connector = self._unix.connectUNIX(
                self._path, _ClientConnectionFactory(made), timeout=CONNECT_SECONDS
            )
            return await made
        except OSError as e:  # for example, no file descriptor is left
            raise make_connect_error(self._path, e.errno, str(e)) from None
        except ConnectError as e:
            number = e.osError if isinstance(e.osError, int) else getattr(e.osError, "errno", None)
            raise make_connect_error(self._path, number, str(e)) from None
