# SPDX-License-Identifier: BSD-2-Clause
"""Flows in memory: what hosts of one network send each other, without threads and sockets."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from ganeti.errors import Code, Failed, Invalid
from ganeti.pki.enrolment import fingerprint
from ganeti.system.interfaces import (
    ConnectingEndpoint,
    FileEndpoint,
    IListening,
    IStreams,
    ITransfer,
    ListeningEndpoint,
    PipeEndpoint,
    StreamPeer,
    TransferProgress,
)
from ganeti.testing.disk import MemoryDisk


class MemoryNetwork:
    """Who listens where; hosts that share it reach each other, whatever their addresses.

    Unless ``connected`` says of two hosts, by their names, that they do not; ``host_at`` knows the
    name of the host with an address.
    """

    def __init__(
        self,
        connected: Callable[[str, str], bool] = lambda one, other: True,
        host_at: Callable[[str], str] = lambda address: address,
    ) -> None:
        self.connected = connected
        self._host_at = host_at
        self.listening: dict[int, MemoryListening] = {}
        self.next_port = 20000

    def reaches(self, host: str, address: str) -> bool:
        """Whether a host reaches an address, and is reached from there."""
        return self.connected(host, self._host_at(address))


@implementer(IListening)
class MemoryListening:
    """A port of a memory network."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        network.next_port += 1
        self.port: int = network.next_port
        self.flow: MemoryFlow | None = None
        network.listening[self.port] = self

    def close(self) -> None:
        self._network.listening.pop(self.port, None)


@implementer(IStreams)
class MemoryStreams:
    """Flows of a memory host: each takes ``takes`` seconds of the clock once its peer is there.

    Files are those of ``disk``; a file that is not there is a disk full of its own name.
    ``piped`` is what programs write to pipes, ``read`` what they were given to read,
    ``announced`` what is waiting in pipes that are only looked into.
    """

    def __init__(
        self,
        disk: MemoryDisk,
        clock: IReactorTime,
        network: MemoryNetwork | None = None,
        *,
        host: str = "",
    ) -> None:
        self.disk = disk
        self.host = host
        self.network = network or MemoryNetwork()
        self.clock = clock
        self.takes = 1.0
        self.piped = b"piped"
        self.read: list[bytes] = []
        self.announced = b""
        self.open: set[int] = set()
        self.flows: list[MemoryFlow] = []
        self._descriptors = 1000

    def listen(self, address: str) -> IListening:
        return MemoryListening(self.network)

    def pipe(self) -> tuple[int, int]:
        self._descriptors += 2
        pair = (self._descriptors, self._descriptors + 1)
        self.open.update(pair)
        return pair

    def waiting(self, descriptor: int) -> bytes:
        return self.announced

    def close(self, descriptor: int) -> None:
        self.open.remove(descriptor)

    def start_transfer(
        self,
        source: FileEndpoint | PipeEndpoint | ListeningEndpoint,
        sink: FileEndpoint | PipeEndpoint | ConnectingEndpoint,
    ) -> ITransfer:
        flow = MemoryFlow(self, source, sink)
        self.flows.append(flow)
        flow.begin()
        return flow

    def die(self) -> None:
        """The process has died: its peers see their connections closed, and nothing listens."""
        for flow in self.flows:
            flow.die()

    def content(self, source: FileEndpoint | PipeEndpoint | ListeningEndpoint) -> bytes:
        """What a source on this host gives."""
        if isinstance(source, FileEndpoint):
            return self.disk.contents().get(source.path, source.path.encode())
        return self.piped

    def store_data(
        self, sink: FileEndpoint | PipeEndpoint | ConnectingEndpoint, data: bytes
    ) -> None:
        """Put data where a sink on this host says."""
        if isinstance(sink, FileEndpoint):
            self.disk.put(sink.path, data, 0o600, self.clock.seconds())
        else:
            self.read.append(data)

    def shown(self, party: StreamPeer) -> str:
        """The file with the certificate that a party shows."""
        return self.disk.contents().get(party.certificate, b"").decode()


@implementer(ITransfer)
class MemoryFlow:
    """One flow; one that awaits a peer is carried on by the peer's."""

    def __init__(
        self,
        streams: MemoryStreams,
        source: FileEndpoint | PipeEndpoint | ListeningEndpoint,
        sink: FileEndpoint | PipeEndpoint | ConnectingEndpoint,
    ) -> None:
        self.streams, self.source, self.sink = streams, source, sink
        self.peer: MemoryFlow | None = None
        self.connected = False
        self.moved = 0
        self.over: Failed | bool = False
        self._asking: list[Deferred[None]] = []
        self._tries = sink.tries if isinstance(sink, ConnectingEndpoint) else 1
        self._finished = False
        self._patience: IDelayedCall | None = None

    def begin(self) -> None:
        """Listen, or begin to move."""
        clock = self.streams.clock
        if isinstance(self.source, ListeningEndpoint):
            assert isinstance(self.source.listening, MemoryListening)
            self.source.listening.flow = self
            patience = self.source.patience
            why = Failed(f"no connection within {patience:g} seconds", Code.ENVIRONMENT)
            self._patience = clock.callLater(patience, self._end_unconnected, why)
        else:
            clock.callLater(0, self._try)

    def _try(self) -> None:
        if self.over:
            return
        if isinstance(self.sink, ConnectingEndpoint):
            listening = self.streams.network.listening.get(self.sink.port)
            peer = listening.flow if listening is not None else None
            if (
                listening is None
                or peer is None
                or peer.over
                or not self._reaches(peer)
                or not self._known_to(peer)
            ):
                self._tries -= 1
                if not self._tries:
                    where = f"{self.sink.host} port {self.sink.port}"
                    self._end(Failed(f"{where} cannot be reached", Code.ENVIRONMENT))
                else:
                    self.streams.clock.callLater(1, self._try)
                return
            # The real socket also takes a single connection.
            listening.close()
            self.peer, peer.peer, peer.connected = peer, self, True
        self.connected = True
        self.streams.clock.callLater(self.streams.takes, self._arrive)

    def _reaches(self, peer: MemoryFlow) -> bool:
        return self.streams.network.connected(self.streams.host, peer.streams.host)

    def _known_to(self, peer: MemoryFlow) -> bool:
        assert isinstance(self.sink, ConnectingEndpoint) and isinstance(
            peer.source, ListeningEndpoint
        )
        us, them = self.sink.party, peer.source.party
        return (
            self.sink.greeting == peer.source.greeting
            and _expects(them, self.streams.shown(us))
            and _expects(us, peer.streams.shown(them))
        )

    def _arrive(self) -> None:
        if self.over:
            return
        data = self.streams.content(self.source)
        self.moved = len(data)
        if self.peer is None:
            self.streams.store_data(self.sink, data)
            self._end(True)
        elif not self._reaches(self.peer):
            self.peer._end(_broken_off())
            self._end(Failed("the connection timed out", Code.ENVIRONMENT))
        else:
            self.peer.moved = len(data)
            self.peer.streams.store_data(self.peer.sink, data)
            self.peer._end(True)

    def progress(self) -> TransferProgress:
        return TransferProgress(self.connected, self.moved)

    async def ended(self) -> None:
        if self.over is False:
            asking: Deferred[None] = Deferred(self._asking.remove)
            self._asking.append(asking)
            await asking
        if isinstance(self.over, Failed):
            raise self.over

    def finish(self, *, well: bool) -> None:
        if (
            self.peer is not None
            and not self._finished
            and isinstance(self.source, ListeningEndpoint)
        ):
            self._finished = True
            self.peer._end(True if well else _broken_off())

    def stop(self) -> None:
        if not self.over:
            self._end(Failed("the transfer was canceled"))
            if self.peer is not None:
                self.peer._end(_broken_off())

    def die(self) -> None:
        """The process of this flow has died."""
        if not self.over:
            # Without a word to those that wait for the end: they have died, too.
            self.over = True
            if isinstance(self.source, ListeningEndpoint):
                self.source.listening.close()
            if self.peer is not None:
                self.peer._end(_broken_off())

    def _end_unconnected(self, why: Failed) -> None:
        if not self.connected:
            self._end(why)

    def _end(self, over: Failed | bool) -> None:
        if self.over:
            return
        self.over = over
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        if isinstance(self.source, ListeningEndpoint):
            self.source.listening.close()
        asking, self._asking = self._asking, []
        for each in asking:
            self.streams.clock.callLater(0, _tell, each)


def _expects(party: StreamPeer, shown: str) -> bool:
    """Return whether a party takes what the other one shows: the only one, or one of a member's."""
    if party.trusted == shown:
        return True
    try:
        return fingerprint(shown.encode()) in (party.accepted or ())
    except Invalid:
        return False


def _tell(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)


def _broken_off() -> Failed:
    return Failed(
        "the peer closed the connection before all data was transferred", Code.ENVIRONMENT
    )
