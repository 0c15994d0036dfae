# SPDX-License-Identifier: BSD-2-Clause
"""Connections to a node daemon: HTTP requests become calls, one at a time per connection.

Whoever shows no certificate of the cluster is only served the paths that are open to strangers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import msgspec
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IPushProducer, IReactorTime, ITransport
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import GanetiError
from ganeti.rpc.body_limits import MAX_BODY, BodyBudget
from ganeti.rpc.http import Broken, Message, MessageReader, asked, response
from ganeti.rpc.server import Answers, UnknownCall
from ganeti.rpc.wire import Request, failure

_INTERNET = (IPv4Address, IPv6Address)

STRANGERS_BODY_LIMIT = 16 * 1024
STRANGERS_PATIENCE = 10.0
MIDWAY_PATIENCE = 60.0
IDLE_PATIENCE = 600.0
MAX_CONNECTIONS = 1000
MAX_STRANGERS = 50

Open = Mapping[str, Callable[[bytes], Awaitable[bytes]]]
"""What is served without a certificate, by name: from the body to the body of the answer."""


class CallSite(ServerFactory):
    """Serves ``answers`` to whoever ``identity`` gives a name, and ``strangers`` to everybody.

    ``identity`` is asked once per connection for the name in the peer's certificate.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        answers: Answers,
        identity: Callable[[ITransport], str | None],
        clock: IReactorTime,
        strangers: Open | None = None,
    ) -> None:
        self.answers = answers
        self.identity = identity
        self.clock = clock
        self.strangers = strangers or {}
        self.bodies = BodyBudget()
        self._connections: set[CallServer] = set()
        self._work: set[Deferred[None]] = set()
        self._quiet: Deferred[None] = Deferred()
        self._reaper = LoopingCall(self._reap)
        self._reaper.clock = clock

    def buildProtocol(self, addr: IAddress | None) -> CallServer | None:
        if len(self._connections) >= MAX_CONNECTIONS:
            self._log.warn("refused {peer}: {n} connections", peer=_called(addr), n=MAX_CONNECTIONS)
            return None
        return CallServer(self)

    def startFactory(self) -> None:
        self._reaper.start(5.0, now=False)

    def stopFactory(self) -> None:
        if self._reaper.running:
            self._reaper.stop()

    async def end(self) -> None:
        """Stop serving: what may stop anywhere stops now, what must be finished is finished.

        Cancelling it stops everything.
        """
        for connection in list(self._connections):
            connection.finish()
        try:
            if self._work:
                await self._quiet
        finally:
            for work in list(self._work):
                work.cancel()
            for connection in list(self._connections):
                connection.hang_up()

    def connected(self, connection: CallServer) -> bool:
        """Count a connection; False if there are too many like it."""
        strangers = sum(1 for other in self._connections if other.peer is None)
        if connection.peer is None and strangers >= MAX_STRANGERS:
            return False
        self._connections.add(connection)
        return True

    def lost(self, connection: CallServer) -> None:
        """Do not count a connection any more."""
        self._connections.discard(connection)
        self.bodies.release(connection)

    def working(self, work: Deferred[None], size: int) -> None:
        """Remember a call that is under way, with a body of ``size`` bytes, until it ends."""
        self._work.add(work)
        # By itself: it may go on when its connection is gone.
        self.bodies.keep(work, size)
        work.addErrback(lambda failure: self._log.failure("an answer broke", failure))
        work.addBoth(lambda _: self._worked(work))

    def _worked(self, work: Deferred[None]) -> None:
        self._work.discard(work)
        self.bodies.release(work)
        if not self._work:
            quiet, self._quiet = self._quiet, Deferred()
            quiet.callback(None)

    def _reap(self) -> None:
        now = self.clock.seconds()
        for connection in list(self._connections):
            connection.reap(now)


class CallServer(Protocol):
    """One connection to the node daemon."""

    _log = Logger()
    transport: ITransport

    def __init__(self, site: CallSite) -> None:
        self.peer: str | None = None
        self._site = site
        self._reader = MessageReader(body_limit=STRANGERS_BODY_LIMIT)
        self._waiting: deque[Message] = deque()
        self._busy: tuple[str, Deferred[None]] | None = None
        self._since = self._heard = site.clock.seconds()
        self._open = True
        self._last = False
        self._paused = False

    def connectionMade(self) -> None:
        self.peer = self._site.identity(self.transport)
        if not self._site.connected(self):
            self.hang_up()
        if self.peer is not None:
            self._reader.body_limit = MAX_BODY

    def dataReceived(self, data: bytes) -> None:
        self._heard = self._site.clock.seconds()
        try:
            self._waiting.extend(self._reader.receive(data))
        except Broken as e:
            self._log.warn("nonsense from {peer}: {why}", peer=self._called, why=str(e))
            self._refuse(e.status, str(e))
            return
        if not self._site.bodies.keep(self, self._kept):
            self._log.warn("refused {peer}: too many large requests", peer=self._called)
            why = "too many large requests are under way; make the call again later"
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, why)
            return
        self._serve()
        if self._waiting and self._open:
            # Whoever sends more before we have answered waits until we have.
            self._paused = True
            self._producer.pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._open = False
        self._waiting.clear()
        self._site.lost(self)
        self._stop_what_may_stop()

    def finish(self) -> None:
        """Take no more requests, and close the connection after the answer that is under way."""
        self._waiting.clear()
        if self._busy is None:
            self.hang_up()
        else:
            self._last = True
            self._stop_what_may_stop()

    def hang_up(self) -> None:
        """Close the connection once what was written has left."""
        self._open = False
        self.transport.loseConnection()

    def reap(self, now: float) -> None:
        """Hang up on a peer that keeps a connection for nothing."""
        patience = MIDWAY_PATIENCE if self._reader.midway else IDLE_PATIENCE
        if self.peer is None:
            if now - self._since > STRANGERS_PATIENCE:
                self.hang_up()
        elif self._busy is None and now - self._heard > patience:
            self.hang_up()

    def _stop_what_may_stop(self) -> None:
        if self._busy is not None:
            name, work = self._busy
            if not self._site.answers.finishes(name):
                work.cancel()

    @property
    def _producer(self) -> IPushProducer:
        return self.transport  # type: ignore[return-value]  # every stream transport is one

    @property
    def _called(self) -> str:
        return self.peer or _called(self.transport.getPeer())

    @property
    def _kept(self) -> int:
        """How many bytes are kept of requests that are not being answered yet."""
        return self._reader.size + sum(len(message.body) for message in self._waiting)

    def _serve(self) -> None:
        while self._open and self._waiting and self._busy is None:
            message = self._waiting.popleft()
            try:
                name = self._name(message)
                term = int(message.headers.get(b"x-ganeti-term", b"0"))
            except ValueError:
                return self._refuse(HTTPStatus.BAD_REQUEST, "X-Ganeti-Term is not a number")
            except Broken as e:
                self._log.warn("refused {peer}: {why}", peer=self._called, why=str(e))
                return self._refuse(e.status, str(e))
            work = Deferred.fromCoroutine(self._respond(name, term, message))
            if not work.called:
                self._busy = (name, work)
                self._site.bodies.keep(self, self._kept)
                self._site.working(work, len(message.body))
        self._site.bodies.keep(self, self._kept)
        return None

    def _name(self, message: Message) -> str:
        method, path = asked(message)
        name = path[1:]
        if self.peer is None and name not in self._site.strangers:
            raise Broken(
                HTTPStatus.FORBIDDEN,
                "calls need a certificate that the authority of this cluster has issued",
            )
        if method != "POST":
            raise Broken(HTTPStatus.METHOD_NOT_ALLOWED, "calls are made by POST")
        return name

    async def _respond(self, name: str, term: int, message: Message) -> None:
        status = HTTPStatus.OK
        try:
            stranger = self._site.strangers.get(name)
            if stranger is not None:
                body = await stranger(message.body)
            else:
                body = await self._site.answers.answer(Request(name, term, message.body))
        except UnknownCall as e:
            status, body = HTTPStatus.NOT_FOUND, _explained(HTTPStatus.NOT_FOUND, str(e))
        except GanetiError as e:
            body = failure(e)
        except CancelledError:
            self._log.info("{call} of {peer} was given up", peer=self._called, call=name)
            self.hang_up()
            return
        except Exception:
            self._log.failure("{call} broke", call=name)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            body = _explained(status, f"{name} broke; the log of this node says more")
        if self._open:
            last = message.last or self._last
            self.transport.write(response(status, body, last=last))
            if last:
                self.hang_up()
        if self._busy is not None:
            self._busy = None
            self._serve()
            if self._paused and self._open and not self._waiting:
                self._paused = False
                self._producer.resumeProducing()

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        if self._open:
            self.transport.write(response(status, _explained(status, why), last=True))
            self.hang_up()


def _explained(status: HTTPStatus, why: str) -> bytes:
    return msgspec.json.encode({"code": status, "message": status.phrase, "explain": why})


def _called(address: object) -> str:
    """What a log calls the other end of a connection."""
    return f"{address.host}:{address.port}" if isinstance(address, _INTERNET) else str(address)
