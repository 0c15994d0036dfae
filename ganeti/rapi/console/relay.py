# SPDX-License-Identifier: BSD-2-Clause
"""Bytes between a browser and the console of a guest.

The node daemon speaks WebSocket with the browser; this end carries the handshake to it, with the
ticket, and then passes bytes on in both directions, no faster than each side reads them. The agent
of ``twisted.web`` hands out no connection that was upgraded, so h11, which wsproto brings, reads
the answer of the node.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

import h11
import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.errors import AccessDenied, Code, Failed, GanetiError, Refused, Unauthenticated
from ganeti.rapi.console.console_visitors import ConsoleAuthorization, Visitor
from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.same_origin import require_same_origin
from ganeti.web.channel_producer import ChannelProducer

if TYPE_CHECKING:
    from ganeti.rapi.site import ApiRequest

ANSWER_TIMEOUT = 15.0

MAX_UNCONFIRMED = 300.0
"""Seconds for which a console stays open while the rights of its user cannot be checked."""

RETRY_DELAY = 2.0
"""Seconds until it is asked again."""

MAX_HEAD = 16 * 1024
MAX_BODY = 16 * 1024
"""How much of a refusal is read."""

MAX_OPENING = 50
"""How many connections to nodes are being opened at once; it takes no login to try one."""

SEPARATOR = "/"

_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_TICKET = re.compile(r"[0-9a-f]{40}")

Connect: TypeAlias = Callable[[str, Protocol], Awaitable[object]]
"""Connects a protocol to the daemon of a node of the cluster; fails with ``GanetiError``."""


class _Explained(msgspec.Struct):
    """A refusal of a node daemon."""

    explain: str = ""


async def _no_connection(node: str, protocol: Protocol) -> object:
    raise Failed("this server reaches no consoles", Code.ENVIRONMENT)


class ConsoleRelay:
    """Connects browsers that bring tickets with the node daemons that opened them."""

    def __init__(
        self, connect: Connect, rights: ConsoleAuthorization, clock: IReactorTime | None
    ) -> None:
        self._connect = connect
        self._rights = rights
        self._clock = clock
        self._opening = 0

    async def visit(self, request: ApiRequest, ticket: str) -> None:
        """Begin to pass bytes on; the request is answered by the node.

        :raises HttpProblem: this is no handshake, or the node refused the ticket.
        :raises GanetiError: the ticket is not good, or its owner may not use it any more.
        """
        key = (request.getHeader(b"sec-websocket-key") or b"").strip()
        if b"websocket" not in (request.getHeader(b"upgrade") or b"").lower():
            raise HttpProblem(HTTPStatus.UPGRADE_REQUIRED, "a console is opened as a WebSocket")
        if not _KEY.fullmatch(key) or request.getHeader(b"sec-websocket-version") != b"13":
            raise HttpProblem(HTTPStatus.BAD_REQUEST, "the WebSocket cannot be opened")
        require_same_origin(request)
        node, _, secret = ticket.partition(SEPARATOR)
        if not _TICKET.fullmatch(secret):
            raise HttpProblem(HTTPStatus.FORBIDDEN, "this is no ticket for a console")
        if self._opening >= MAX_OPENING:
            raise HttpProblem(
                HTTPStatus.SERVICE_UNAVAILABLE, "too many consoles are being opened; try again"
            )
        assert self._clock is not None
        self._opening += 1
        try:
            visitor = await self._rights.redeem(node, secret)
            relay = _Relay(request, key, secret, node, self._clock, self._rights, visitor)
            await self._connect(node, relay)
            await relay.answered
        finally:
            self._opening -= 1


def no_consoles() -> ConsoleRelay:
    """Return a relay that reaches no node."""
    return ConsoleRelay(_no_connection, _NoRights(), None)


class _NoRights:
    """Refuses all users of consoles."""

    async def redeem(self, node: str, ticket: str) -> Visitor:
        raise Failed("this server reaches no consoles", Code.ENVIRONMENT)

    async def watch(self, visitor: Visitor, *, active: bool) -> None:
        raise Failed("this server reaches no consoles", Code.ENVIRONMENT)


@implementer(IPushProducer)
class _Relay(Protocol):
    """The connection to a node daemon, and the browser's beside it."""

    _log = Logger()
    transport: Any  # ITransport, IConsumer and IPushProducer at once

    def __init__(
        self,
        request: ApiRequest,
        key: bytes,
        secret: str,
        node: str,
        clock: IReactorTime,
        rights: ConsoleAuthorization,
        visitor: Visitor,
    ) -> None:
        self.answered: Deferred[None] = Deferred(lambda _: self.transport.abortConnection())
        self._request = request
        self._channel: Any = request.channel
        self._key = key
        self._secret = secret
        self._node = node
        self._clock = clock
        self._rights = rights
        self._visitor = visitor
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._head = b""  # of the answer that opens the console: the browser gets it as it is
        self._status = 0
        self._body = b""
        self._passing = False
        self._browser_open = False
        self._left = False
        self._active = False
        self._timer: IDelayedCall | None = None
        self._watching: Deferred[None] | None = None

    # --- what the node does

    def connectionMade(self) -> None:
        self._timer = self._clock.callLater(ANSWER_TIMEOUT, self._give_up)
        headers = [
            ("Host", self._node.encode("idna").decode("ascii")),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", self._key.decode("ascii")),
            ("X-Ganeti-Ticket", self._secret),
        ]
        request = h11.Request(method="GET", target="/console", headers=headers)
        self.transport.write(self._http.send(request) + self._http.send(h11.EndOfMessage()))

    def dataReceived(self, data: bytes) -> None:
        if self._passing:
            self._channel.write(data)
            return
        self._head += data
        try:
            self._http.receive_data(data)
            self._read_answer()
        except h11.RemoteProtocolError:
            self.transport.abortConnection()

    def _read_answer(self) -> None:
        """Read what has come of the answer, which opens the console or says why not."""
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                self._begin()
                return
            if isinstance(event, h11.Response):
                self._status = event.status_code
            elif isinstance(event, h11.Data) and len(self._body) < MAX_BODY:
                self._body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self.transport.loseConnection()
                return
            elif event in (h11.NEED_DATA, h11.PAUSED):
                return

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._left = True
        self._stop_timer()
        if self._watching is not None:
            self._watching.cancel()
        if self._passing:
            self._hang_up()
        elif not self.answered.called:
            self.answered.errback(self._refusal())

    def _begin(self) -> None:
        if self._channel.transport is None or self._request.channel is None:
            self.transport.loseConnection()  # the browser has hung up
            return
        self._passing = self._browser_open = True
        self._stop_timer()
        user = self._visitor.user
        self._log.info("{user} is at a console on {node}", user=user, node=self._node)
        self.transport.registerProducer(ChannelProducer(self._channel), True)
        self._request.notifyFinish().addBoth(lambda _: self._browser_lost())
        self._request.registerProducer(self, True)
        self._channel.write(self._head)
        self._head = b""
        self._channel.upgrade(self._sent)
        self._watching = Deferred.fromCoroutine(self._watch())
        self._watching.addErrback(self._not_watched)
        self.answered.callback(None)

    def _sent(self, data: bytes) -> None:
        self._active = True
        self.transport.write(data)

    async def _watch(self) -> None:
        """Close the console as soon as its visitor may not use it any more."""
        confirmed = self._clock.seconds()
        while not self._left:
            active, self._active = self._active, False
            try:
                await self._rights.watch(self._visitor, active=active)
                confirmed = self._clock.seconds()
            except GanetiError as e:
                if _is_final(e) or self._clock.seconds() - confirmed > MAX_UNCONFIRMED:
                    self._send_away(str(e))
                    return
                # The master restarts, or moves, which the console survives.
                # The master has not been told of the activity yet.
                self._active = self._active or active
                await deferLater(self._clock, RETRY_DELAY)

    def _send_away(self, why: str) -> None:
        user = self._visitor.user
        self._log.info("{user} has to leave a console: {why}", user=user, why=why)
        self._leave()
        self._hang_up()

    def _not_watched(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        self._log.failure("the user of a console cannot be checked", failure)
        self._send_away("it cannot be checked who is there")

    def _give_up(self) -> None:
        self._timer = None
        self.transport.abortConnection()

    def _browser_lost(self) -> None:
        self._browser_open = False
        self._leave()

    def _leave(self) -> None:
        """Close the connection to the node."""
        if self._left:
            return
        self._left = True
        # One with a producer would stay open until that has ended.
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _hang_up(self) -> None:
        """Close the connection of the browser, once it has read what was sent."""
        if self._browser_open:
            self._browser_open = False
            self._request.unregisterProducer()
            self._channel.loseConnection()

    def _refusal(self) -> Exception:
        try:
            why = msgspec.json.decode(self._body, type=_Explained).explain
        except (ValueError, RecursionError):
            why = ""
        if self._status == HTTPStatus.CONFLICT and why:
            return HttpProblem(HTTPStatus.CONFLICT, why)
        return HttpProblem(
            HTTPStatus.BAD_GATEWAY,
            f"node {self._node} did not open the console{f': {why}' if why else ''}",
        )

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    # --- how fast the browser reads

    def pauseProducing(self) -> None:
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        self._browser_lost()


def _is_final(error: GanetiError) -> bool:
    """Return whether a refusal stays one; otherwise the master cannot be asked now."""
    if isinstance(error, Refused):
        return error.code is Code.UNKNOWN
    return isinstance(error, AccessDenied | Unauthenticated) or (
        isinstance(error, HttpProblem) and error.status is HTTPStatus.UNAUTHORIZED
    )
