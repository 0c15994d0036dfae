# SPDX-License-Identifier: BSD-2-Clause
"""The master's side of LUXI connections, and the service that listens on its sockets."""

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
"""Maximum number of pipelined requests of a client before reading from it is paused."""

MAX_SOCKET_PATH = 107
"""Maximum length of a socket path in bytes (``sun_path``, unix(7))."""


@implementer(IPushProducer)
class LuxiConnection(Protocol):
    """A client connection: answers requests in order; its end cancels the request in progress.

    A client that does not read its answers gets no more answers until it does.
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
        self._too_long = False
        self._lost = False

    def connectionMade(self) -> None:
        self._require_transport().registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        if self._too_long:
            return  # after a request without an end, no later one can be found
        try:
            self._waiting.extend(self._buffer.receive(data))
        except ProtocolError as e:
            # Queued as the last answer, because clients expect answers in the order of requests.
            self._waiting.append(e)
            self._too_long = True
        if self._waiting and not self._busy:
            self._busy = True
            self._work = Deferred.fromCoroutine(self._answer_waiting()).addErrback(self._on_failure)
        if self._busy and len(self._waiting) > MAX_WAITING and self._reading:
            self._reading = False
            self._require_transport().pauseProducing()

    async def _answer_waiting(self) -> None:
        try:
            while self._waiting:
                match self._waiting.popleft():
                    case ProtocolError() as error:
                        self._send(framing.failure(str(error)))
                        self._require_transport().unregisterProducer()
                        self._require_transport().loseConnection()
                        return
                    case message:
                        self._send(await self._answer_message(message))
                if self._may_write is not None:
                    await self._may_write
        except CancelledError:
            return  # the client has disconnected
        finally:
            self._busy = False
        if not self._reading:
            self._reading = True
            self._require_transport().resumeProducing()

    async def _answer_message(self, message: bytes) -> bytes:
        try:
            return await self._methods.answer_message(message)
        except CancelledError:
            if self._lost:
                raise
            return self._methods.cancelled(message)

    def _on_failure(self, failure: Failure) -> None:
        # An answer cannot be sent any more; the closed connection tells the client.
        self._log.failure("internal error while answering a client", failure)
        self._waiting.clear()
        self._require_transport().abortConnection()

    def _send(self, answer: bytes) -> None:
        if self._lost:
            return  # what was asked for has ended in spite of being canceled
        transport = self._require_transport()
        transport.write(answer)
        if IWriteDescriptor.providedBy(transport):
            # Write at once, for which the socket buffer nearly always has room: a write by the
            # reactor takes another turn, which is a seventh of the cost of a small query. The
            # reactor detects errors.
            transport.doWrite()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        self._waiting.clear()
        if self._work is not None:
            self._work.cancel()

    def pauseProducing(self) -> None:
        """Stop answering, because the client reads more slowly than it is answered."""
        self._may_write = Deferred()

    def resumeProducing(self) -> None:
        """Continue answering, because the client has read its answers."""
        if self._may_write is not None:
            resumed, self._may_write = self._may_write, None
            resumed.callback(None)

    def stopProducing(self) -> None:
        """Do nothing: ``connectionLost`` follows and cleans up."""

    def _require_transport(self) -> Any:
        assert self.transport is not None
        return self.transport


class LuxiConnectionFactory(Factory):
    """Creates the master's side of connections."""

    noisy = False

    def __init__(self, methods: LuxiMethods) -> None:
        self._methods = methods

    def buildProtocol(self, addr: object) -> LuxiConnection:
        return LuxiConnection(self._methods)


class LuxiService(Service):
    """Listens on the master's sockets while it runs."""

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
        """Listen on the sockets; they accept connections when this returns.

        If there is a group, it gets the sockets and their folder.

        :raises Refused: another master daemon answers on one of them.
        :raises Failed: a socket could not be created.
        """
        super().startService()
        for path in self._paths:
            remove_stale_socket(path)
        if self._group is not None:
            for folder in {os.path.dirname(path) for path in self._paths}:
                os.chown(folder, -1, self._group)
        for path in self._paths:
            self._ports.append(self._listen(path))

    def _listen(self, path: str) -> IListeningPort:
        connections = LuxiConnectionFactory(self._methods)
        port = self._reactor.listenUNIX(path, connections, backlog=512, mode=0o660)
        if self._group is not None:
            os.chown(path, -1, self._group)
        return port

    def stopService(self) -> Deferred[None]:
        """Stop listening; open connections stay open."""
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        ports, self._ports = self._ports, []
        for port in ports:
            if (stopped := port.stopListening()) is not None:
                await stopped


def remove_stale_socket(path: str) -> None:
    """Remove a socket that a crashed daemon has left.

    :raises Refused: another daemon answers on it.
    :raises Failed: the path is not a socket, or is too long for one.
    """
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise Failed(f"the path {path} is too long for a socket; use a shorter GANETI_ROOTDIR")
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise Failed(f"{path} exists and is not a socket; move it elsewhere")
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
            pass  # for example, a full listen queue: the socket is in use
    raise Refused(f"another master daemon answers on {path}; stop it before you start this one")
