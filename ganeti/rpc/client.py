# SPDX-License-Identifier: BSD-2-Clause
"""Carrying requests to node daemons over connections that stay open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol as TypingProtocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ganeti.model.node import Node
from ganeti.rpc.asking import BadAnswer, Lost
from ganeti.rpc.http import Broken, Message, MessageReader, answered, request
from ganeti.rpc.wire import Request

ANSWER_LIMIT = 256 * 1024 * 1024
IDLE_LIMIT = 60.0
"""Seconds: an older connection may be one that a firewall has forgotten, or the node is closing."""


class Connect(TypingProtocol):
    """Opens a connection whose other end has proved to be the node ``name``."""

    def __call__(self, protocol: Protocol, address: str, port: int, name: str) -> Awaitable[object]:
        """Connect ``protocol``.

        :raises Lost: it could not; the text says why.
        """
        ...


class HttpWay:
    """The ``Way`` to node daemons: HTTP over connections that ``connect`` opens.

    A connection carries one request at a time; several to one node are open if several requests
    are under way. ``words`` says why a connection was lost.
    """

    def __init__(
        self,
        connect: Connect,
        clock: IReactorTime,
        *,
        port: int,
        words: Callable[[Failure], str] = Failure.getErrorMessage,
    ) -> None:
        self._connect = connect
        self._words = words
        self._clock = clock
        self._port = port
        self._idle: dict[str, list[CallClient]] = {}
        self._closed = 0

    async def exchange(self, node: Node, request: Request) -> bytes:
        """The body of the node's answer.

        :raises Lost: there was none; nobody knows whether the node did it.
        """
        connection, closed = self._take(node.primary_ip), self._closed
        if connection is None:
            connection = CallClient(self._words)
            await self._connect(connection, node.primary_ip, self._port, node.name)
        answer = await connection.ask(node.name, request)
        if closed != self._closed:
            connection.hang_up()
        elif connection.usable:
            connection.idle_since = self._clock.seconds()
            self._idle.setdefault(node.primary_ip, []).append(connection)
        return _body(answer, request)

    def close(self) -> None:
        """Close the connections that nobody uses now, and each of the others after its answer."""
        self._closed += 1
        idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.hang_up()

    def _take(self, address: str) -> CallClient | None:
        connections = self._idle.get(address)
        since = self._clock.seconds() - IDLE_LIMIT
        while connections:
            connection = connections.pop()
            if connection.usable and connection.idle_since > since:
                return connection
            connection.hang_up()
        return None


def _body(answer: Message, request: Request) -> bytes:
    try:
        status = answered(answer)
    except Broken as e:
        raise BadAnswer(str(e)) from None
    if status == 200:
        return answer.body
    why = f"it answered {request.name} with HTTP status {status}"
    try:
        explained = msgspec.json.decode(answer.body)["explain"]
    except (msgspec.DecodeError, TypeError, KeyError):
        raise BadAnswer(why) from None
    raise BadAnswer(f"{why}: {explained}")


class CallClient(Protocol):
    """One connection to a node daemon."""

    transport: ITransport
    idle_since = 0.0

    def __init__(self, words: Callable[[Failure], str]) -> None:
        self.usable = True
        self._words = words
        self._reader = MessageReader(body_limit=ANSWER_LIMIT)
        self._answer: Deferred[Message] | None = None

    def ask(self, host: str, call: Request) -> Deferred[Message]:
        """Send a call; the answer comes, or ``Lost``. Cancelling closes the connection."""
        answer: Deferred[Message] = Deferred(lambda _: self._give_up())
        if not self.usable:
            answer.errback(Lost("the connection was closed"))
            return answer
        self._answer = answer
        term = f"X-Ganeti-Term: {call.term}\r\n"
        self.transport.write(request(call.name, host, term, call.body))
        return answer

    def hang_up(self) -> None:
        """Close the connection."""
        self.usable = False
        self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        try:
            for message in self._reader.receive(data):
                answer, self._answer = self._answer, None
                if answer is None:
                    raise Broken(HTTPStatus.BAD_GATEWAY, "an answer that nobody asked for")
                if message.last:
                    self.hang_up()
                answer.callback(message)
        except Broken as e:
            self._fail(f"it answered nonsense: {e}")
            self.hang_up()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.usable = False
        if isinstance(reason.value, ConnectionDone):
            self._fail("it closed the connection before it answered")
        else:
            self._fail(self._words(reason))

    def _give_up(self) -> None:
        self._answer = None
        self.usable = False
        self.transport.abortConnection()  # type: ignore[attr-defined]  # ITCPTransport

    def _fail(self, why: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.errback(Lost(why))
