# SPDX-License-Identifier: BSD-2-Clause
"""A client of the event stream: an answer without an end, written no faster than it is read."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from ganeti.errors import GanetiError
from ganeti.events.event import EventFilter
from ganeti.events.stream_position import STREAM_START, StreamPosition
from ganeti.luxi.unreachable import NoAnswer
from ganeti.rapi.events.hub import EventHub
from ganeti.rapi.events.live_subscribers import Encode

if TYPE_CHECKING:
    from ganeti.rapi.site import ApiRequest

Confirm: TypeAlias = Callable[[], Coroutine[Deferred[object], object, object]]
"""Returns if the client may still read; raises ``GanetiError`` otherwise."""

READY, RESET, LAGGED, HEARTBEAT = "ready", "reset", "lagged", "heartbeat"
"""The notices of the stream, each sent with a position."""


class Form(Protocol):
    """The encoding of events for one client."""

    @property
    def encode(self) -> Encode:
        """Encodes events; the same function for all clients with this encoding."""

    def begin(self) -> None:
        """Write the start of the stream."""

    def notice(self, kind: str, position: StreamPosition) -> bytes:
        """Return a notice in this encoding."""

    def write(self, data: bytes) -> None:
        """Write encoded events."""

    def finish(self, kind: str) -> None:
        """Write the end of the stream; ``kind`` is the reason."""


@implementer(IPushProducer)
class EventStream:
    """A subscriber that answers a request until either end closes the connection."""

    _log = Logger()

    def __init__(
        self,
        request: ApiRequest,
        form: Form,
        hub: EventHub,
        selection: EventFilter,
        confirm: Confirm,
    ) -> None:
        self.cursor = STREAM_START
        self.paused = False
        self.selection = selection
        self.encode = form.encode
        self._request = request
        self._form = form
        self._channel: Any = request.channel
        self._hub = hub
        self._confirm = confirm
        self._ended = False
        request.notifyFinish().addBoth(self._unsubscribe)

    # --- a subscriber of the hub

    def open(self, position: StreamPosition, *, ready: bool, reset: bool) -> None:
        """Start the answer, and send where the events start."""
        self._form.begin()
        self._request.registerProducer(self, True)
        # A pause before the registration is not reported.
        self.paused = self._channel.congested
        if reset:
            self.reset(position)
        elif ready:
            self.send(self._form.notice(READY, position))

    def send(self, chunk: bytes) -> None:
        self._form.write(chunk)
        if self.paused:
            # Set a deadline for the client to read this; nothing is sent until then.
            self._channel.writing(len(chunk))

    def reset(self, position: StreamPosition) -> None:
        self.send(self._form.notice(RESET, position))

    def heartbeat(self, position: StreamPosition) -> None:
        self.send(self._form.notice(HEARTBEAT, position))
        # Also without events, a client must not stay when its rights have ended.
        Deferred.fromCoroutine(self.confirm())

    async def confirm(self) -> None:
        """End the stream if its client may not read it any more."""
        try:
            await self._confirm()
        except NoAnswer:
            return  # the master restarts, and nothing can be read meanwhile
        except GanetiError:
            self.refuse()
        except CancelledError:
            self._close("refused")
        except Exception:
            self._log.failure("asking whether a client may still read broke")
            self._close("refused")

    def refuse(self) -> None:
        """End the stream, as its client may not read it any more."""
        self._log.info("{peer} may not read events any more", peer=self._channel.peer)
        self._close("refused")

    def lag(self) -> None:
        self._log.info(
            "{peer} reads events too slowly: closing after {position}",
            peer=self._channel.peer,
            position=str(self.cursor),
        )
        self._form.write(self._form.notice(LAGGED, self.cursor))
        self._close(LAGGED)

    # --- end of the stream

    def _close(self, kind: str) -> None:
        """End the answer; the client may reconnect."""
        if self._ended:
            return
        channel = self._channel
        self._unsubscribe(None)
        if self._request.producer is not None:
            self._request.unregisterProducer()
        self._form.finish(kind)
        channel.loseConnection()

    def _unsubscribe(self, _: object) -> None:
        self._ended = True
        self._hub.unsubscribe(self)

    # --- how fast the client reads

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        self._channel.clear_write_deadline()
        self._hub.resumed()

    def stopProducing(self) -> None:
        """The connection is lost or must be closed."""
        self._unsubscribe(None)
