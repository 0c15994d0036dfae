# SPDX-License-Identifier: BSD-2-Clause
"""Connections to a node daemon: HTTP requests become calls, one at a time per connection.

What a caller may do follows from its role, which is looked up when the head of a request has
arrived, and again when its turn has come: see ``callers``. A caller whose certificate is not one of
the cluster's configuration is only served the paths that are open to strangers.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType

import msgspec
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IPushProducer, IReactorTime, ITransport
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import GanetiError
from ganeti.rpc.body_limits import MAX_BODY, BodyBudget, body_limit
from ganeti.rpc.callers import Caller, CallerRole, Callers, Forbidden, Peer
from ganeti.rpc.http import Broken, Message, MessageReader, asked, response
from ganeti.rpc.server import Answers, UnknownCall
from ganeti.rpc.wire import OldTerm, Request, UnclaimedTerm, failure

_TERM = re.compile(rb"[0-9]{1,16}")
_INTERNET = (IPv4Address, IPv6Address)

BODY_LIMITS: Mapping[CallerRole, int] = MappingProxyType(
    {
        CallerRole.STRANGER: 16 * 1024,
        CallerRole.NODE: 64 * 1024,
        CallerRole.CANDIDATE: 64 * 1024,
        CallerRole.MASTER: MAX_BODY,
    }
)
"""Bytes by role; for a master, a checkpoint of a very large cluster, in base64, fits."""

STRANGERS_PATIENCE = 10.0
MIDWAY_PATIENCE = 60.0
IDLE_PATIENCE = 600.0
MAX_CONNECTIONS = 1000
MAX_STRANGERS = 50

Open = Mapping[str, Callable[[bytes], Awaitable[bytes]]]
"""What is served without a certificate, by name: from the body to the body of the answer."""


class CallSite(ServerFactory):
    """Serves ``answers`` to those whose role they are for, and ``strangers`` to everybody.

    ``identity`` is asked once per connection for what the peer's certificate says, and ``callers``
    for each request for the peer's role.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        answers: Answers,
        identity: Callable[[ITransport], Peer | None],
        callers: Callers,
        clock: IReactorTime,
        strangers: Open | None = None,
    ) -> None:
        self.answers = answers
        self.identity = identity
        self.callers = callers
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
        strangers = sum(1 for other in self._connections if other.is_stranger)
        if connection.is_stranger and strangers >= MAX_STRANGERS:
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
        self.peer: Peer | None = None
        self._site = site
        self._reader = MessageReader(body_limit=BODY_LIMITS[CallerRole.MASTER], admit=self._admit)
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
        if self.is_stranger:
            # Also one that was a member when it connected.
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
    def is_stranger(self) -> bool:
        """Whether the peer has no certificate that the cluster's configuration names now."""
        return self._caller().role is CallerRole.STRANGER

    @property
    def _called(self) -> str:
        return self.peer.name if self.peer else _called(self.transport.getPeer())

    def _caller(self) -> Caller:
        return self._site.callers.identify(self.peer)

    def _admit(self, start: bytes, headers: Mapping[bytes, bytes]) -> int | None:
        """Decide by the head of a request whether its body is read; see ``MessageReader``."""
        caller = self._caller()
        try:
            name, _ = self._checked(start, headers, caller)
        except GanetiError:
            # Answered when the body has gone by: the caller would lose an answer that comes with
            # the end of the connection before it has sent all.
            return None
        return min(BODY_LIMITS[caller.role], body_limit(name))

    def _checked(
        self, start: bytes, headers: Mapping[bytes, bytes], caller: Caller
    ) -> tuple[str, int]:
        """Return the name of the call and its term, if the caller may make it.

        :raises Broken: this is no call, or a stranger's that is not open to strangers.
        :raises GanetiError: a member may not make it, or not in this term.
        """
        method, path = asked(start)
        name = path[1:]
        is_open = name in self._site.strangers
        if caller.role is CallerRole.STRANGER and not is_open:
            raise Broken(HTTPStatus.FORBIDDEN, _unknown(self.peer))
        if method != "POST":
            raise Broken(HTTPStatus.METHOD_NOT_ALLOWED, "calls are made by POST")
        term = headers.get(b"x-ganeti-term", b"0")
        if not _TERM.fullmatch(term):
            raise Broken(HTTPStatus.BAD_REQUEST, "X-Ganeti-Term is not a number")
        if not is_open:
            self._site.answers.authorize(name, int(term), caller)
        return name, int(term)

    @property
    def _kept(self) -> int:
        """How many bytes are kept of requests that are not being answered yet."""
        return self._reader.size + sum(len(message.body) for message in self._waiting)

    def _serve(self) -> None:
        while self._open and self._waiting and self._busy is None:
            message = self._waiting.popleft()
            caller = self._caller()
            try:
                name, term = self._checked(message.start, message.headers, caller)
                if message.discarded:
                    raise Forbidden("the caller's role has changed meanwhile; make the call again")
            except Broken as e:
                self._log.warn("refused {peer}: {why}", peer=self._called, why=str(e))
                return self._refuse(e.status, str(e))
            except GanetiError as e:
                self._answer(*self._negative(e), last=message.last)
                continue
            work = Deferred.fromCoroutine(self._respond(name, term, message, caller))
            if not work.called:
                self._busy = (name, work)
                self._site.bodies.keep(self, self._kept)
                self._site.working(work, len(message.body))
        self._site.bodies.keep(self, self._kept)
        return None

    def _negative(self, error: GanetiError) -> tuple[HTTPStatus, bytes]:
        """Return how it is answered that a request is not carried out."""
        match error:
            case OldTerm() | UnclaimedTerm():
                return HTTPStatus.OK, failure(error)
            case UnknownCall():
                status = HTTPStatus.NOT_FOUND
            case _:
                status = HTTPStatus.FORBIDDEN
                self._log.warn("refused {peer}: {why}", peer=self._called, why=str(error))
        return status, _explained(status, str(error))

    async def _respond(self, name: str, term: int, message: Message, caller: Caller) -> None:
        status = HTTPStatus.OK
        try:
            stranger = self._site.strangers.get(name)
            if stranger is not None:
                body = await stranger(message.body)
            else:
                request = Request(name, term, message.body)
                body = await self._site.answers.answer(request, caller)
        except (UnknownCall, Forbidden) as e:
            status, body = self._negative(e)
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
        self._answer(status, body, last=message.last)
        if self._busy is not None:
            self._busy = None
            self._serve()
            if self._paused and self._open and not self._waiting:
                self._paused = False
                self._producer.resumeProducing()

    def _answer(self, status: HTTPStatus, body: bytes, *, last: bool) -> None:
        if self._open:
            last = last or self._last
            self.transport.write(response(status, body, last=last))
            if last:
                self.hang_up()

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        if self._open:
            self.transport.write(response(status, _explained(status, why), last=True))
            self.hang_up()


def _unknown(peer: Peer | None) -> str:
    if peer is None:
        return "calls need a certificate that the authority of this cluster has issued"
    return (
        f"the certificate of {peer.name} (SHA-256 {peer.fingerprint[:16]}...) is not that of a"
        " member of this cluster, as far as this node knows; if it should be one, add it on the"
        " master: gnt-node add --readd"
    )


def _explained(status: HTTPStatus, why: str) -> bytes:
    return msgspec.json.encode({"code": status, "message": status.phrase, "explain": why})


def _called(address: object) -> str:
    """What a log calls the other end of a connection."""
    return f"{address.host}:{address.port}" if isinstance(address, _INTERNET) else str(address)
