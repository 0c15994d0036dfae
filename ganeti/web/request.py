# SPDX-License-Identifier: BSD-2-Clause
"""A request whose body is kept in memory."""

from __future__ import annotations

from io import BytesIO

from twisted.python.failure import Failure
from twisted.web.server import Request

from ganeti.web.channel import LimitedChannel


class MemoryRequest(Request):
    """A request that releases its body when the client disconnects."""

    channel: LimitedChannel | None  # type: ignore[assignment]  # None once the connection is lost
    content: BytesIO | None

    def gotLength(self, length: int | None) -> None:
        # Not a temporary file, as Twisted uses for large bodies: their size is limited here.
        self.content = BytesIO()

    def drop(self) -> None:
        """Release the memory of the request and its answer."""
        self.content = None
        if self.producer is not None:
            self.producer.stopProducing()

    def connectionLost(self, reason: Failure) -> None:
        self.drop()
        super().connectionLost(reason)
