# SPDX-License-Identifier: BSD-2-Clause
"""Connections to a node daemon: one call at a time, by a peer whose role may change meanwhile."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.rpc.body_limits import MAX_BODY
from ganeti.rpc.callers import Caller, CallerRole, Peer
from ganeti.rpc.resource import NotServed, explained
from ganeti.web.channel import LimitedChannel, Timeouts

if TYPE_CHECKING:
    from ganeti.rpc.site import RpcRequest, RpcSite

TIMEOUTS = Timeouts(idle=600.0, read=60.0)
"""A request may take longer to arrive, but not stand still for longer."""

UNAUTHENTICATED_TIMEOUT = 10.0
"""Seconds that a connection has in all whose peer is no member of the cluster."""


class RpcChannel(LimitedChannel):
    """One connection to the node daemon.

    ``identity`` is what the peer's certificate says; None without one.
    """

    timeouts = TIMEOUTS
    _log = Logger()

    # Who sends more before we have answered waits until we have.
    _optimisticEagerReadSize = 0

    site: RpcSite
    requests: list[RpcRequest]

    def __init__(self) -> None:
        super().__init__()
        self.identity: Peer | None = None
        self._stoppable: Deferred[None] | None = None
        self._opened = 0.0

    @property
    def closing(self) -> bool:
        """Whether nothing more is answered."""
        return self._closing

    @property
    def peer(self) -> str:
        return self.identity.name if self.identity else super().peer

    def caller(self) -> Caller:
        """Return the peer with the role that it has now."""
        return self.site.callers.identify(self.identity)

    @property
    def is_stranger(self) -> bool:
        """Whether the peer is no member of the cluster, or no longer."""
        return self.caller().role is CallerRole.STRANGER

    def problem(self, status: HTTPStatus, why: str) -> bytes:
        self.warn(why)
        return explained(status, why)

    def warn(self, why: str) -> None:
        """Log that the peer was refused; strangers cannot fill the log."""
        warn = self.site.warn if self.identity is None else self._log.warn
        warn("refused {peer}: {why}", peer=self.peer, why=why)

    # --- opening and closing

    def connectionMade(self) -> None:
        self._opened = self.site.clock.seconds()
        super().connectionMade()

    def admit(self) -> None:
        self.identity = self.site.identity(self.transport)
        if self.is_stranger and self.site.is_full_of_strangers():
            self.abort()
        else:
            super().admit()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._stop_what_may_stop()

    def finish(self) -> None:
        """Take no more requests, and close the connection after the answer that is under way."""
        if self._working:
            self.persistent = False
            self._stop_what_may_stop()
        else:
            self.loseConnection()

    # --- reading

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if self._begun and not self._closing:
            self._within(self.timeouts.read)

    def allHeadersReceived(self) -> None:
        """Decide by the head of a request whether its body is read and kept."""
        request = self.requests[-1]
        request.call = self._command, self._path.removeprefix(b"/").decode("ascii", "replace")
        try:
            request.limit = self.site.calls.body_limit(request, self.caller())
        except NotServed as e:
            self.refuse(e.status, str(e))
            return
        limit = MAX_BODY if request.limit is None else request.limit
        if self.length is None:
            self.refuse(HTTPStatus.NOT_IMPLEMENTED, "bodies must be sent with a Content-Length")
        elif self.length > limit:
            self.refuse_length(limit)
        else:
            super().allHeadersReceived()

    def refuse_length(self, limit: int) -> None:
        """Refuse a body that is longer than ``limit`` bytes."""
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        self.refuse(status, f"the body is longer than {limit} bytes")

    def body_ended(self) -> None:
        self.site.bodies.release(self)

    # --- working

    def works_on(self, work: Deferred[None], size: int, *, finishes: bool) -> None:
        """Remember the answer that is under way, to a request of so many bytes.

        One that does not finish is cancelled with the connection.
        """
        self._stoppable = None if finishes else work
        self.site.working(work, size)

    def requestDone(self, request: RpcRequest) -> None:  # type: ignore[override]
        self._stoppable = None
        super().requestDone(request)

    def _stop_what_may_stop(self) -> None:
        work, self._stoppable = self._stoppable, None
        if work is not None:
            work.cancel()

    # --- deadlines

    @property
    def deadline(self) -> float | None:
        if self._handshaking or not self.is_stranger:
            return self._deadline
        # Also one that was a member when it connected, and while it is being answered.
        limit = self._opened + UNAUTHENTICATED_TIMEOUT
        return limit if self._deadline is None else min(limit, self._deadline)

    def deadline_passed(self) -> None:
        if not self._handshaking and self.is_stranger:
            self.abort()
        else:
            super().deadline_passed()
