# SPDX-License-Identifier: BSD-2-Clause
"""A site that limits the number of connections and concurrent TLS handshakes."""

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
"""How many connections may be in the TLS handshake at once."""


class LimitedSite(Site):
    """A site that serves resources within limits; ``clock`` measures the deadlines.

    ``explain`` describes the failure of a TLS handshake in plain words.
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
        # No timeout of Twisted: LimitedChannel has its own deadlines.
        arguments: Any = {"parsePOSTFormSubmission": False, "reactor": clock, "timeout": None}
        super().__init__(resource, **arguments)
        self.clock = clock
        self.explain = explain
        self.warn = RateLimitedLog(clock, self._log.warn)
        self.deadlines = Deadlines(clock)
        self.connections = ConnectionLimit(max_connections, self.warn)
        self.handshakes: Quota[LimitedChannel] = Quota(max_handshakes, self._evict_handshake)

    def acceptableProtocols(self) -> Sequence[bytes]:
        """Return the ALPN protocols: not HTTP/2 even if h2 is installed, as these limits do not
        apply to it."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Do not open an access log: requests that change something are logged by their
        resource."""

    def stopFactory(self) -> None:
        """Do nothing, as there is no access log to close."""

    def open_channels(self) -> Sequence[LimitedChannel]:
        """Return the open connections."""
        return [each for each in self.deadlines if isinstance(each, LimitedChannel)]

    def hang_up(self) -> None:
        """Close all connections when everything written has been sent."""
        for channel in self.open_channels():
            channel.loseConnection()

    def lost(self, channel: LimitedChannel) -> None:
        """Stop counting a connection."""
        self.deadlines.stop_checking(channel)
        self.connections.release(channel)
        self.handshakes.release_amount(channel)

    def _evict_handshake(self, channel: LimitedChannel) -> None:
        self.warn(
            "too many connections in the TLS handshake; closing the oldest, {peer}",
            peer=channel.peer,
        )
        channel.abort()
