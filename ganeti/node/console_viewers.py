# SPDX-License-Identifier: BSD-2-Clause
"""Those who are at a console of a guest, and who of them may type.

Each may type, or choose to watch only. One who takes over is the only one to type until it leaves,
or chooses to watch. Who watches a serial line cannot type: what is sent is dropped. A screen's
bytes are the protocol of VNC, which is passed on as it is: there, the pages of those who watch send
no keys.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from wsproto.frame_protocol import CloseReason
from zope.interface import implementer

from ganeti.hypervisor.interfaces import ConsoleStream
from ganeti.web.web_socket import ServerWebSocket

HISTORY = 32 * 1024
"""How many bytes that a serial line has shown a further viewer sees."""

SLOW_SECONDS = 30.0
"""For how long a viewer may read nothing while others wait for it."""

VIEWER_HEADER = b"X-Ganeti-Viewer"


class _Wish(msgspec.Struct):
    """What a viewer asks for by a text message."""

    watch: bool


class GuestConsole:
    """One console of a guest, with its viewers."""

    _log = Logger()

    def __init__(self, guest: str, stream: ConsoleStream) -> None:
        self.guest = guest
        self.stream = stream
        self.opening = DeferredLock()
        self.line: Line | None = None
        """The connection that the viewers of a serial line share."""
        self.viewers: list[Viewer] = []
        self._controller: Viewer | None = None

    @property
    def is_shared(self) -> bool:
        """Whether its viewers share one connection, and see the same bytes."""
        return self.stream is ConsoleStream.SERIAL

    def opened(self, line: Line) -> None:
        """Note a connection to the guest."""
        if self.is_shared:
            self.line = line

    def closed(self, line: Line) -> None:
        """Forget a connection to the guest."""
        if self.line is line:
            self.line = None

    def add_viewer(self, viewer: Viewer, *, take_over: bool) -> None:
        """Add a viewer, who may be the only one to type from now on."""
        self._log.info(
            "{viewer} {does} the {stream} console of {guest}",
            viewer=viewer.name,
            does="takes over" if take_over else "opens",
            stream=self.stream.value,
            guest=self.guest,
        )
        self.viewers.append(viewer)
        if take_over:
            self._controller = viewer

    def remove(self, viewer: Viewer) -> None:
        """Forget a viewer; if it had taken over, all may type again."""
        self.viewers.remove(viewer)
        if self._controller is viewer:
            self._controller = None
        self.announce_viewers()

    def may_type(self, viewer: Viewer) -> bool:
        """Return whether what a viewer types reaches the guest."""
        if self._controller is not None:
            return self._controller is viewer
        return not viewer.watches

    def set_watching(self, viewer: Viewer, *, watches: bool) -> None:
        """Let a viewer watch only, or type if no other viewer has taken over."""
        viewer.watches = watches
        if watches and self._controller is viewer:
            self._controller = None
        self.announce_viewers()

    def close_all(self, why: str) -> None:
        """Send all viewers away."""
        # A copy, as a viewer whose connection closes is removed from the list.
        for viewer in list(self.viewers):
            viewer.socket.close(why)

    def announce_viewers(self) -> None:
        """Tell each viewer who is there, who only watches, and who has taken over."""
        controller = self._controller
        status = {
            "viewers": [viewer.name for viewer in self.viewers],
            "watching": [
                number for number, each in enumerate(self.viewers) if not self.may_type(each)
            ],
            "controller": None if controller is None else self.viewers.index(controller),
        }
        for number, viewer in enumerate(list(self.viewers)):
            viewer.socket.send_text(msgspec.json.encode({**status, "you": number}).decode("utf-8"))


@implementer(IPushProducer)
class Line(Protocol):
    """A connection to a console of a guest, and the viewers that share it."""

    transport: Any  # ITransport and IPushProducer at once

    def __init__(self, console: GuestConsole, clock: IReactorTime) -> None:
        self.console = console
        self.clock = clock
        self.viewers: list[Viewer] = []
        self._history = bytearray()

    def join(self, viewer: Viewer, *, take_over: bool) -> None:
        """Show the console to a further viewer, and what a shared one has shown before."""
        self.viewers.append(viewer)
        self.console.add_viewer(viewer, take_over=take_over)
        # First, as a WebSocket carries no data before it is accepted.
        viewer.accept()
        if self._history:
            viewer.socket.send(bytes(self._history))
        self.console.announce_viewers()

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer; without any, the connection is closed."""
        if viewer not in self.viewers:
            return
        self.viewers.remove(viewer)
        self.console.remove(viewer)
        if self.viewers:
            self.flow()
        else:
            self.console.closed(self)
            # Otherwise the connection stays open until the producer has ended.
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def flow(self) -> None:
        """Read from the guest no faster than the slowest viewer does."""
        if any(viewer.is_paused for viewer in self.viewers):
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    # --- what the guest does

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        if self.console.is_shared:
            self._history += data
            del self._history[:-HISTORY]
        for viewer in list(self.viewers):
            viewer.socket.send(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.console.closed(self)
        for viewer in list(self.viewers):
            viewer.socket.close(f"the console of instance {self.console.guest} has ended")

    def pauseProducing(self) -> None:
        """The guest reads more slowly than is typed."""
        for viewer in self.viewers:
            viewer.socket.pause_reading()

    def resumeProducing(self) -> None:
        for viewer in self.viewers:
            viewer.socket.resume_reading()

    def stopProducing(self) -> None:
        """The guest is gone; ``connectionLost`` says so, too."""


class Viewer:
    """A user at a console; ``watches`` is whether the user has chosen not to type."""

    def __init__(self, line: Line, name: str, socket: ServerWebSocket) -> None:
        self.name = name
        self.socket = socket
        self.is_paused = False
        self.watches = False
        self._line = line
        self._timer: IDelayedCall | None = None

    def accept(self) -> None:
        """Accept the WebSocket; the remote API receives the name of the viewer."""
        self.socket.accept(self, (VIEWER_HEADER, quote(self.name).encode("ascii")))

    def received(self, data: bytes) -> None:
        console = self._line.console
        if console.may_type(self) or not console.is_shared:
            self._line.transport.write(data)

    def received_text(self, text: str) -> None:
        try:
            wish = msgspec.json.decode(text, type=_Wish)
        except (ValueError, RecursionError):
            why = 'the only text message that a console accepts is {"watch": true or false}'
            self.socket.close(why, CloseReason.UNSUPPORTED_DATA)
            return
        self._line.console.set_watching(self, watches=wish.watch)

    def paused(self, *, paused: bool) -> None:
        self.is_paused = paused
        if paused and self._timer is None:
            self._timer = self._line.clock.callLater(SLOW_SECONDS, self._too_slow)
        elif not paused:
            self._stop_timer()
        self._line.flow()

    def lost(self) -> None:
        self._stop_timer()
        self._line.leave(self)

    def _too_slow(self) -> None:
        self._timer = None
        # Closing it in an orderly way would wait for what the viewer does not read.
        self.socket.abort()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
