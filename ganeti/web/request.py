# SPDX-License-Identifier: BSD-2-Clause
"""A request whose body stays in memory."""

from __future__ import annotations

from io import BytesIO

from twisted.python.failure import Failure
from twisted.web.server import Request

from ganeti.web.channel import LimitedChannel


class MemoryRequest(Request):
    """A request that lets go of its body when its client is gone."""

    channel: LimitedChannel | None  # type: ignore[assignment]  # None once the connection is lost
    content: BytesIO | None

    def gotLength(self, length: int | None) -> None:
        # Not a file, as Twisted would take for large bodies: their size is bounded.
        self.content = BytesIO()

    def drop(self) -> None:
        """Let go of the memory that the request and its answer take."""
        self.content = None
        if self.producer is not None:
            self.producer.stopProducing()

    def connectionLost(self, reason: Failure) -> None:
        self.drop()
        super().connectionLost(reason)
