# SPDX-License-Identifier: BSD-2-Clause
"""Many subscribers of the event stream in one process, at little cost.

All sockets are in one selector, data is only stored with the time of its arrival, and is parsed
when all events are there: on a host with few processors the clients would otherwise take the time
of the daemons that they measure.
"""

from __future__ import annotations

import re
import selectors
import socket
import ssl
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

import msgspec

from ganeti.events.stream_position import StreamPosition

HANDSHAKES = 50
"""How many subscribers connect at once."""

LATEST = 60.0
"""Seconds without a new event or connection after which nothing more is waited for."""

RETRY = 0.2
"""Seconds before a lost subscriber connects again."""

RESET = "reset"
"""What stands for a notice that events are lost, among the ids of those that have come."""

_EVENT = re.compile(rb"\nid: ([0-9.]+)\nevent: ([a-z]+)\ndata: (\{.*\})\n")
_READ = 1 << 18


@dataclass
class Reader:
    """One subscriber; those that read ``everything`` keep what they receive.

    When its connection is lost, it connects again and goes on where it was, as a browser does.
    """

    path: str
    everything: bool
    position: str = ""
    """The id of the last event that has come, with which the client connects again."""
    ready: bool = False
    received: int = 0
    lost: int = 0
    refused: int = 0
    """How often the answer was an error, after which it tries again, too."""
    answered: bool = False
    """Whether the answer on this connection has begun."""
    rest: bytes = b""
    chunks: list[tuple[float, bytes]] = field(default_factory=list)
    """Whole events, each with the time at which they were there."""

    def request(self, host: str, login: str) -> bytes:
        """Return the request that starts where the client was."""
        head = f"GET {self.path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {login}\r\n"
        since = f"Last-Event-ID: {self.position}\r\n" if self.position else ""
        return f"{head}{since}\r\n".encode()

    def take(self, data: bytes) -> None:
        """Take bytes of the answer; an event is there when the empty line after it is.

        :raises ConnectionError: the answer is an error, such as that the master restarts.
        """
        self.received += len(data)
        self.rest += data
        if not self.answered:
            if b"\r\n" not in self.rest:
                return
            if not self.rest.startswith(b"HTTP/1.1 200 "):
                self.refused += 1
                raise ConnectionError(self.rest.partition(b"\r\n")[0].decode())
            self.answered = True
        end = self.rest.rfind(b"\n\n") + 2
        if end < 2:
            return
        whole, self.rest = self.rest[:end], self.rest[end:]
        # A client that goes on where it was gets no notice before the first event.
        self.ready = True
        last = whole.rfind(b"\nid: ")
        if last >= 0:
            self.position = whole[last + 5 : whole.find(b"\n", last + 5)].decode()
        if self.everything:
            self.chunks.append((time.time(), whole))

    def events(self) -> tuple[list[str], list[float]]:
        """Return the ids of all events, and how old each was when it was there, in seconds."""
        ids, delays = [], []
        ends, end = [], 0
        for _, whole in self.chunks:
            end += len(whole)
            ends.append(end)
        for found in _EVENT.finditer(b"".join(whole for _, whole in self.chunks)):
            if found[2] == b"reset":
                ids.append(RESET)
            elif found[2] != b"ready":
                event = msgspec.json.decode(found[3], type=_Event)
                ids.append(event.id)
                delays.append(self.chunks[bisect_left(ends, found.end())][0] - event.at)
        return ids, delays


class _Event(msgspec.Struct):
    id: str
    at: float


class Readers:
    """Connects subscribers, and reads what they are sent."""

    def __init__(self, url: str, login: str, readers: Sequence[Reader]) -> None:
        place = urlsplit(url)
        self._address = place.hostname or "", place.port or 443
        self._login = login
        self._readers = readers
        self._context = ssl.create_default_context()
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._selector = selectors.DefaultSelector()
        self._waiting = deque((0.0, each) for each in readers)
        """Those that are not connected, and when each may connect."""
        self._connecting = 0
        self.connections = 0
        """How many requests were sent."""

    def watch(self, channel: Connection) -> None:
        """Let ``turn`` return when ``channel`` can be read."""
        self._selector.register(channel, selectors.EVENT_READ)

    @property
    def ready(self) -> bool:
        """Whether all have an answer."""
        return all(each.ready for each in self._readers)

    def turn(self, timeout: float) -> None:
        """Connect those that are not connected, and read what has come within ``timeout``."""
        while self._waiting and self._connecting < HANDSHAKES:
            if self._waiting[0][0] > time.monotonic():
                break
            self._connect(self._waiting.popleft()[1])
        for key, _ in self._selector.select(timeout):
            if isinstance(key.data, _Link):
                self._serve(key.data)

    def _connect(self, reader: Reader) -> None:
        self._connecting += 1
        plain = socket.socket()
        plain.setblocking(False)
        plain.connect_ex(self._address)
        link = _Link(reader, plain)
        self._selector.register(plain, selectors.EVENT_WRITE, link)

    def _serve(self, link: _Link) -> None:
        try:
            if not link.established:
                self._establish(link)
            while link.established and (data := link.socket.recv(_READ)):
                link.reader.take(data)
            if link.established:
                raise ConnectionError("the server has closed the connection")
        except ssl.SSLWantReadError:
            self._selector.modify(link.socket, selectors.EVENT_READ, link)
        except ssl.SSLWantWriteError:
            self._selector.modify(link.socket, selectors.EVENT_WRITE, link)
        except OSError:
            self._lose(link)

    def _establish(self, link: _Link) -> None:
        if not isinstance(link.socket, ssl.SSLSocket):
            if error := link.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, "cannot connect")
            self._selector.unregister(link.socket)
            try:
                link.socket = self._context.wrap_socket(link.socket, do_handshake_on_connect=False)
            finally:
                self._selector.register(link.socket, selectors.EVENT_READ, link)
        assert isinstance(link.socket, ssl.SSLSocket)
        link.socket.do_handshake()
        # Its few bytes fit into the empty buffer of the socket.
        link.socket.sendall(link.reader.request(self._address[0], self._login))
        link.established = True
        self._connecting -= 1
        self.connections += 1

    def _lose(self, link: _Link) -> None:
        self._selector.unregister(link.socket)
        link.socket.close()
        if link.established:
            link.reader.lost += link.reader.answered
        else:
            self._connecting -= 1
        link.reader.rest, link.reader.answered = b"", False
        self._waiting.append((time.monotonic() + RETRY, link.reader))


@dataclass(eq=False)
class _Link:
    """The connection of a subscriber."""

    reader: Reader
    socket: socket.socket
    established: bool = False


class Seen(msgspec.Struct):
    """What subscribers have seen."""

    ids: list[list[str]]
    """Of each that reads everything."""
    delays: list[float]
    lost: int
    refused: int
    bytes: int
    processor: float
    """The processor time of the subscribers until the last event was there, in seconds."""


def read_all(channel: Connection, url: str, login: str, full: int, others: int) -> None:
    """Be a process with the subscribers: send when they are there, and what they have seen.

    What ``channel`` sends in between is the id of the last event.
    """
    everything = [Reader("/2/events", True) for _ in range(full)]
    some = [Reader(f"/2/events?name=web{number}", False) for number in range(others)]
    readers = Readers(url, login, [*everything, *some])
    readers.watch(channel)
    while not readers.ready:
        readers.turn(0.1)
    channel.send("ready")
    begun = time.process_time()
    while not channel.poll():
        readers.turn(0.1)
    last = StreamPosition.parse(channel.recv())
    until, before = time.monotonic() + LATEST, (0, 0)
    while time.monotonic() < until and any(
        not each.position or StreamPosition.parse(each.position) < last for each in everything
    ):
        readers.turn(0.1)
        now = readers.connections, sum(len(each.chunks) for each in everything)
        if now != before:
            # Where the host is busy, a thousand handshakes take longer than that.
            until, before = time.monotonic() + LATEST, now
    processor = time.process_time() - begun
    found = [each.events() for each in everything]
    seen = Seen(
        ids=[ids for ids, _ in found],
        delays=[delay for _, delays in found for delay in delays],
        lost=sum(each.lost for each in (*everything, *some)),
        refused=sum(each.refused for each in (*everything, *some)),
        bytes=sum(each.received for each in (*everything, *some)),
        processor=processor,
    )
    channel.send_bytes(msgspec.msgpack.encode(seen))
