# SPDX-License-Identifier: BSD-2-Clause
"""A site that bounds how many connections there are, and how many shake hands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Site

from ganeti.web.channel import LimitedChannel
from ganeti.web.limits.connections import ConnectionLimit
from ganeti.web.limits.deadlines import Deadlines
from ganeti.web.limits.quota import Quota
from ganeti.web.rate_limited_log import RateLimitedLog

MAX_HANDSHAKES = 1000
"""How many connections may be in the middle of the TLS handshake."""


class LimitedSite(Site):
    """Serve resources within limits; ``clock`` tells when something takes too long.

    ``explain`` says in plain words why a TLS handshake failed.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        resource: IResource,
        clock: IReactorTime,
        *,
        max_connections: int,
        max_handshakes: int = MAX_HANDSHAKES,
        explain: Callable[[Failure], str] = Failure.getErrorMessage,
    ) -> None:
        # Without a timeout: LimitedChannel has deadlines of its own.
        arguments: Any = {"parsePOSTFormSubmission": False, "reactor": clock, "timeout": None}
        super().__init__(resource, **arguments)
        self.clock = clock
        self.explain = explain
        self.warn = RateLimitedLog(clock, self._log.warn)
        self.deadlines = Deadlines(clock)
        self.connections = ConnectionLimit(max_connections, self.warn)
        self.handshakes: Quota[LimitedChannel] = Quota(max_handshakes, self._evict_handshake)

    def acceptableProtocols(self) -> Sequence[bytes]:
        """What ALPN offers; not HTTP/2, whatever is installed, as no limit here is for it."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Start no log of requests: changes are logged by what makes them."""

    def stopFactory(self) -> None:
        """There is no log of requests to be closed."""

    def channels(self) -> Sequence[LimitedChannel]:
        """Return the connections that are open."""
        return [each for each in self.deadlines if isinstance(each, LimitedChannel)]

    def hang_up(self) -> None:
        """Close every connection once what was written has left."""
        for channel in self.channels():
            channel.loseConnection()

    def lost(self, channel: LimitedChannel) -> None:
        """Do not count a connection any more."""
        self.deadlines.forget(channel)
        self.connections.release(channel)
        self.handshakes.release(channel)

    def _evict_handshake(self, channel: LimitedChannel) -> None:
        self.warn(
            "too many connections wait for a handshake: closing the oldest, {peer}",
            peer=channel.peer,
        )
        channel.abort()
