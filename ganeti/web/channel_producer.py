# SPDX-License-Identifier: BSD-2-Clause
"""What a client sends on an upgraded connection, for the connection that it is passed on to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

if TYPE_CHECKING:
    from ganeti.web.channel import LimitedChannel


@implementer(IPushProducer)
class ChannelProducer:
    """Reads from a client no faster than the other connection is written.

    It is registered as the producer of the other connection. The end of that is not handled here:
    its protocol is told by ``connectionLost``.
    """

    def __init__(self, channel: LimitedChannel) -> None:
        self._channel = channel

    def pauseProducing(self) -> None:
        self._channel.pause_reading()

    def resumeProducing(self) -> None:
        self._channel.resume_reading()

    def stopProducing(self) -> None:
        """Ignore the end of the other connection."""
