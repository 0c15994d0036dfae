# SPDX-License-Identifier: BSD-2-Clause
"""The master's end of a connection, and the sockets it listens on."""

from __future__ import annotations

import os
import socket
import stat
from collections import deque
from collections.abc import Iterable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IListeningPort,
    IPushProducer,
    IReactorUNIX,
    IWriteDescriptor,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.errors import Failed, ProtocolError, Refused
from ganeti.luxi import framing
from ganeti.luxi.server import LuxiMethods

MAX_WAITING = 1000
"""How many requests of one client may wait before no more are read from it."""

MAX_PATH = 107
"""What the kernel takes as the path of a socket, in bytes."""


@implementer(IPushProducer)
class LuxiConnection(Protocol):
    """One client: its requests are answered in order, and its hanging up ends what is under way.

    A client that does not read its answers gets no further ones until it does.
    """

    _log = Logger()

    def __init__(self, methods: LuxiMethods) -> None:
        self._methods = methods
        self._buffer = framing.MessageBuffer()
        self._waiting: deque[bytes | ProtocolError] = deque()
        self._work: Deferred[None] | None = None
        self._busy = False
        self._may_write: Deferred[None] | None = None
        self._reading = True
        self._overlong = False
        self._lost = False

    def connectionMade(self) -> None:
        self._transport().registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        if self._overlong:
            return  # nothing can be read after a request without an end
        try:
            self._waiting.extend(self._buffer.receive(data))
        except ProtocolError as e:
            # The last answer, in its turn: clients take answers to come in order.
            self._waiting.append(e)
            self._overlong = True
        if self._waiting and not self._busy:
            self._busy = True
            self._work = Deferred.fromCoroutine(self._answer()).addErrback(self._broke)
        if self._busy and len(self._waiting) > MAX_WAITING and self._reading:
            self._reading = False
            self._transport().pauseProducing()

    async def _answer(self) -> None:
        try:
            while self._waiting:
                match self._waiting.popleft():
                    case ProtocolError() as error:
                        self._send(framing.failure(str(error)))
                        self._transport().unregisterProducer()
                        self._transport().loseConnection()
                        return
                    case message:
                        self._send(await self._answer_to(message))
                if self._may_write is not None:
                    await self._may_write
        except CancelledError:
            return  # the client hung up
        finally:
            self._busy = False
        if not self._reading:
            self._reading = True
            self._transport().resumeProducing()

    async def _answer_to(self, message: bytes) -> bytes:
        try:
            return await self._methods.answer(message)
        except CancelledError:
            if self._lost:
                raise
            return self._methods.cancelled(message)

    def _broke(self, failure: Failure) -> None:
        # No answer can be sent any more: the client hears of it by the closed connection.
        self._log.failure("answering a client failed", failure)
        self._waiting.clear()
        self._transport().abortConnection()

    def _send(self, answer: bytes) -> None:
        transport = self._transport()
        transport.write(answer)
        if IWriteDescriptor.providedBy(transport):
            # Now, as there is nearly always room for it: to have the reactor do it takes a turn
            # more, which is a seventh of the cost of a small question. Trouble it will see itself.
            transport.doWrite()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        self._waiting.clear()
        if self._work is not None:
            self._work.cancel()

    def pauseProducing(self) -> None:
        """The client reads more slowly than it is answered."""
        self._may_write = Deferred()

    def resumeProducing(self) -> None:
        """The client has read what it was sent."""
        if self._may_write is not None:
            resumed, self._may_write = self._may_write, None
            resumed.callback(None)

    def stopProducing(self) -> None:
        """The transport is about to be lost; ``connectionLost`` does the work."""

    def _transport(self) -> Any:
        assert self.transport is not None
        return self.transport


class LuxiConnections(Factory):
    """Makes the master's ends of connections."""

    noisy = False

    def __init__(self, methods: LuxiMethods) -> None:
        self._methods = methods

    def buildProtocol(self, addr: object) -> LuxiConnection:
        return LuxiConnection(self._methods)


class LuxiService(Service):
    """Listens on the master's sockets as long as it runs."""

    def __init__(
        self,
        reactor: IReactorUNIX,
        paths: Iterable[str],
        methods: LuxiMethods,
        *,
        group: int | None = None,
    ) -> None:
        self.setName("master's sockets")
        self._reactor = reactor
        self._paths = tuple(paths)
        self._methods = methods
        self._group = group
        self._ports: list[IListeningPort] = []

    def startService(self) -> None:
        """Take the sockets; ready when it returns.

        :raises Refused: another master daemon answers at one of them.
        :raises Failed: a socket cannot be made.
        """
        super().startService()
        for path in self._paths:
            make_room(path)
        for path in self._paths:
            self._ports.append(self._listen(path))

    def _listen(self, path: str) -> IListeningPort:
        connections = LuxiConnections(self._methods)
        port = self._reactor.listenUNIX(path, connections, backlog=512, mode=0o660)
        if self._group is not None:
            os.chown(path, -1, self._group)
        return port

    def stopService(self) -> Deferred[None]:
        """Listen no more; connections that there are stay."""
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        ports, self._ports = self._ports, []
        for port in ports:
            if (stopped := port.stopListening()) is not None:
                await stopped


def make_room(path: str) -> None:
    """Remove the socket that a daemon which died left behind.

    :raises Refused: somebody answers there.
    :raises Failed: there is something else than a socket, or the path is too long for one.
    """
    if len(os.fsencode(path)) > MAX_PATH:
        raise Failed(f"the path {path} is too long for a socket; use a shorter GANETI_ROOTDIR")
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise Failed(f"{path} is in the way and no socket; move it elsewhere")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            os.unlink(path)
            return
        except OSError:
            pass  # such as a full queue of connections: somebody listens
    raise Refused(f"another master daemon answers at {path}; stop it before you start this one")
