# SPDX-License-Identifier: BSD-2-Clause
"""Server connections of a node daemon: one call at a time, by a peer whose role may change."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.rpc.body_limits import MAX_BODY
from ganeti.rpc.callers import CallerRole, Peer, RpcCaller
from ganeti.rpc.resource import RequestRejected, explained
from ganeti.web.channel import LimitedChannel, Timeouts

if TYPE_CHECKING:
    from ganeti.rpc.site import RpcRequest, RpcSite

TIMEOUTS = Timeouts(idle=600.0, read=60.0)
"""Time-outs in seconds; ``read`` limits a pause in a request, not its total time."""

UNAUTHENTICATED_TIMEOUT = 10.0
"""Maximum lifetime in seconds of a connection whose peer is not a member of the cluster."""


class RpcChannel(LimitedChannel):
    """A connection to the node daemon.

    ``identity`` is the peer from its certificate; None without one.
    """

    timeouts = TIMEOUTS
    _log = Logger()

    # No reading ahead: a peer that pipelines requests has to wait for its answers.
    _optimisticEagerReadSize = 0

    site: RpcSite
    requests: list[RpcRequest]

    def __init__(self) -> None:
        super().__init__()
        self.identity: Peer | None = None
        self._cancellable: Deferred[None] | None = None
        self._opened = 0.0

    @property
    def closing(self) -> bool:
        """Whether the connection is being closed, so that no more answers are sent."""
        return self._closing

    @property
    def peer(self) -> str:
        return self.identity.name if self.identity else super().peer

    def caller(self) -> RpcCaller:
        """Return the peer with its current role."""
        return self.site.callers.identify(self.identity)

    @property
    def is_unauthenticated(self) -> bool:
        """Whether the peer is not, or no longer, a member of the cluster."""
        return self.caller().role is CallerRole.UNAUTHENTICATED

    def problem(self, status: HTTPStatus, why: str) -> bytes:
        self.warn(why)
        return explained(status, why)

    def warn(self, why: str) -> None:
        """Log that the peer was refused, rate limited for peers without a certificate."""
        warn = self.site.warn if self.identity is None else self._log.warn
        warn("refused {peer}: {why}", peer=self.peer, why=why)

    # --- opening and closing

    def connectionMade(self) -> None:
        self._opened = self.site.clock.seconds()
        super().connectionMade()

    def admit(self) -> None:
        self.identity = self.site.identity(self.transport)
        # Peers that are not members must not take the places of those that are.
        if self.is_unauthenticated and self.site.is_unauthenticated_limit_reached():
            self.abort()
        else:
            super().admit()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._cancel_answer()

    def finish_and_close(self) -> None:
        """Accept no more requests, and close the connection after the current answer."""
        if self._answering:
            self.persistent = False
            self._cancel_answer()
        else:
            self.loseConnection()

    # --- reading

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if self._reading and not self._closing:
            self._set_deadline(self.timeouts.read)

    def allHeadersReceived(self) -> None:
        """Decide by the headers of a request whether to read its body, and its size limit."""
        request = self.requests[-1]
        request.call = self._command, self._path.removeprefix(b"/").decode("ascii", "replace")
        try:
            request.limit = self.site.calls.body_limit(request, self.caller())
        except RequestRejected as e:
            self.refuse(e.status, str(e))
            return
        # A body that is discarded takes no memory, whatever its size.
        limit = MAX_BODY if request.limit is None else request.limit
        if self.length is None:
            self.refuse(HTTPStatus.NOT_IMPLEMENTED, "a request body must have a Content-Length")
        elif self.length > limit:
            self.refuse_length(limit)
        else:
            super().allHeadersReceived()

    def refuse_length(self, limit: int) -> None:
        """Reject a body that is longer than ``limit`` bytes."""
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        self.refuse(status, f"the body is longer than {limit} bytes")

    def body_ended(self) -> None:
        self.site.bodies.release(self)

    # --- working

    def track_answer(self, work: Deferred[None], size: int, *, finishes: bool) -> None:
        """Track the current answer, to a request of ``size`` bytes.

        Unless ``finishes`` is true, it is cancelled when the connection closes.
        """
        self._cancellable = None if finishes else work
        self.site.working(work, size)

    def requestDone(self, request: RpcRequest) -> None:  # type: ignore[override]
        self._cancellable = None
        super().requestDone(request)

    def _cancel_answer(self) -> None:
        work, self._cancellable = self._cancellable, None
        if work is not None:
            work.cancel()

    # --- deadlines

    @property
    def deadline(self) -> float | None:
        if self._handshaking or not self.is_unauthenticated:
            return self._deadline
        # This also applies to a peer that lost its membership, and while it is being answered.
        limit = self._opened + UNAUTHENTICATED_TIMEOUT
        return limit if self._deadline is None else min(limit, self._deadline)

    def deadline_passed(self) -> None:
        if not self._handshaking and self.is_unauthenticated:
            self.abort()
        else:
            super().deadline_passed()
