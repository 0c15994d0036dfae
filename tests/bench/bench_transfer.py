# SPDX-License-Identifier: BSD-2-Clause
"""How fast a disk reaches another node: by our flows, and by Twisted's TLS with producers.

``python -m tests.bench.bench_transfer [MIB] [FOLDER]`` prints for both, of the best of three runs:
MiB per second from file to file; MiB per second of processor time of the busier side, which is the
limit where nothing else is slow; how long the sender's reactor kept a call waiting meanwhile, at
most; and for comparison a bare loop over a TLS socket. Sender and receiver are two processes. Give
a folder in memory (``/dev/shm``) to leave the disk out.
"""

from __future__ import annotations

import os
import random
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.pki.authority import create_self_signed
from ganeti.system.interfaces import ConnectingEndpoint, FileEndpoint, ListeningEndpoint, StreamPeer
from ganeti.system.stream_endpoints import CHUNK, FileSink, FileSource
from ganeti.system.streams import LocalStreams

reactor: Any = installed
HERE, NAME, MAGIC = "127.0.0.1", "ganeti.example.com", b"M=bench"
MIB = 1 << 20
LOOK = 0.002
"""Seconds between two looks at how late the reactor is."""


# --- the receivers, each in a process of its own


async def receive_by_flow(folder: str, port: Callable[[int], None]) -> None:
    """Receive by a flow of ours."""
    streams = LocalStreams(reactor)
    listening = streams.listen(HERE)
    port(listening.port)
    sink = FileEndpoint(f"{folder}/copy", create=True)
    receiving = streams.start_transfer(ListeningEndpoint(listening, party(folder), MAGIC, 10), sink)
    await receiving.ended()
    receiving.finish(well=True)


class Receiver(Protocol):
    """Writes what comes to a file, in a thread, and reads no more meanwhile."""

    transport: Any

    def __init__(self, path: str) -> None:
        self.ended: Deferred[None] = Deferred()
        self._sink = FileSink(path, create=True, room=None)
        self._pending = bytearray()
        self._writing: Deferred[None] | None = None
        self._over = False

    def dataReceived(self, data: bytes) -> None:
        self._pending += data
        if len(self._pending) >= MIB:
            self.transport.pauseProducing()
            self._write()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._over = True
        self._write()

    def _write(self) -> None:
        if self._writing is not None:
            return
        full = len(self._pending)
        full -= 0 if self._over else full % CHUNK
        taken, self._pending = self._pending[:full], self._pending[full:]
        self._writing = deferToThread(self._take, taken, self._over)
        self._writing.addCallbacks(self._written, self.ended.errback)

    def _take(self, data: bytearray, last: bool) -> None:
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK]
            self._sink.write_from(chunk, len(chunk))
        if last:
            self._sink.complete()
            self._sink.close()

    def _written(self, _: None) -> None:
        self._writing = None
        if not self._over:
            self.transport.resumeProducing()
        elif self._pending:
            self._write()
        else:
            self.ended.callback(None)


async def receive_by_twisted(folder: str, port: Callable[[int], None]) -> None:
    """Receive by Twisted's TLS."""
    options = PrivateCertificate.loadPEM(_read(folder, "cert") + _read(folder, "key")).options()
    receiver = Receiver(f"{folder}/copy")
    factory = ServerFactory.forProtocol(lambda: receiver)
    endpoint = SSL4ServerEndpoint(reactor, 0, options, 10, HERE)
    listening: Any = await endpoint.listen(factory)
    port(listening.getHost().port)
    await receiver.ended


RECEIVERS = {"flow": receive_by_flow, "twisted": receive_by_twisted}


# --- the senders


async def send_by_flow(folder: str, port: int) -> None:
    """Send by a flow of ours."""
    source = FileEndpoint(f"{folder}/disk")
    sink = ConnectingEndpoint(HERE, port, party(folder), MAGIC, 10, 1)
    await LocalStreams(reactor).start_transfer(source, sink).ended()


@implementer(IPushProducer)
class Sender:
    """Reads a file, in a thread, as fast as the transport takes it."""

    def __init__(self, path: str, transport: Any) -> None:
        self.sent: Deferred[None] = Deferred()
        self._source = FileSource(path)
        self._transport = transport
        self._buffer = bytearray(MIB)
        self._paused = self._reading = False

    def resumeProducing(self) -> None:
        self._paused = False
        if not self._reading:
            self._reading = True
            reading = deferToThread(self._source.read_into, memoryview(self._buffer))
            reading.addCallbacks(self._read, self.sent.errback)

    def pauseProducing(self) -> None:
        self._paused = True

    def stopProducing(self) -> None:
        self._paused = True

    def _read(self, amount: int) -> None:
        self._reading = False
        if not amount:
            self._source.close()
            self._transport.unregisterProducer()
            self._transport.loseConnection()
            self.sent.callback(None)
            return
        self._transport.write(bytes(memoryview(self._buffer)[:amount]))
        if not self._paused:
            self.resumeProducing()


async def send_by_twisted(folder: str, port: int) -> None:
    """Send by Twisted's TLS."""
    careless: Any = CertificateOptions()  # does not ask for the peer's name
    endpoint = wrapClientTLS(careless, TCP4ClientEndpoint(reactor, HERE, port), reactor)
    connection: Any = await connectProtocol(endpoint, Protocol())
    sender = Sender(f"{folder}/disk", connection.transport)
    connection.transport.registerProducer(sender, True)
    sender.resumeProducing()
    await sender.sent


SENDERS: dict[str, Callable[[str, int], Awaitable[None]]] = {
    "flow": send_by_flow,
    "twisted": send_by_twisted,
}


# --- measuring


@dataclass(frozen=True)
class Speed:
    """MiB per second, and per second of processor time; seconds that a call waited at most."""

    wall: float
    processor: float
    late: float


async def measure(kind: str, folder: str, mib: int) -> Speed:
    """Send the disk once."""
    command = [sys.executable, "-m", "tests.bench.bench_transfer", "receive", kind, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as receiver:  # noqa: ASYNC220
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        late = [0.0]
        due = [time.perf_counter() + LOOK]

        def look() -> None:
            late[0] = max(late[0], time.perf_counter() - due[0])
            due[0] = time.perf_counter() + LOOK

        looking = LoopingCall(look)
        looking.start(LOOK, now=False)
        wall, processor = time.perf_counter(), time.process_time()
        await SENDERS[kind](folder, port)
        sent = time.process_time() - processor
        looking.stop()
        received = float(await deferToThread(receiver.stdout.readline))
        spent = time.perf_counter() - wall
    os.unlink(f"{folder}/copy")
    return Speed(mib / spent, mib / max(sent, received), late[0])


def bare(folder: str, mib: int) -> float:
    """MiB per second of the simplest loop there is, from memory to nowhere."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(f"{folder}/cert", f"{folder}/key")
    client.load_verify_locations(f"{folder}/cert")
    with socket.create_server((HERE, 0)) as listener:
        if not (child := os.fork()):
            with server.wrap_socket(listener.accept()[0], server_side=True) as connection:
                buffer = bytearray(MIB)
                while connection.recv_into(buffer):
                    pass
            os._exit(0)
        began, chunk = time.perf_counter(), bytes(MIB)
        plain = socket.create_connection(listener.getsockname())
        with client.wrap_socket(plain, server_hostname=NAME) as connection:
            for _ in range(mib):
                connection.sendall(chunk)
        os.waitpid(child, 0)
    return mib / (time.perf_counter() - began)


def party(folder: str) -> StreamPeer:
    """Both ends, which use the same key."""
    return StreamPeer(f"{folder}/key", f"{folder}/cert", _read(folder, "cert"), NAME)


async def receive(kind: str, folder: str) -> None:
    """Be the receiver: print the port, and then the processor time that was spent."""
    began = time.process_time()
    await RECEIVERS[kind](folder, lambda port: print(port, flush=True))
    print(time.process_time() - began, flush=True)
    await deferLater(reactor, 0.1)


async def main(mib: int, place: str | None) -> None:
    with tempfile.TemporaryDirectory(dir=place) as folder:
        made = create_self_signed(NAME, time.time(), timedelta(hours=1))
        _write(f"{folder}/key", [made.key])
        _write(f"{folder}/cert", [made.certificate])
        _write(f"{folder}/disk", [random.Random(1).randbytes(MIB)] * mib)
        print(f"bare loop, memory to nowhere {bare(folder, mib):8.0f} MiB/s")
        runs: dict[str, list[Speed]] = {kind: [] for kind in SENDERS}
        for _ in range(3):
            for kind, found in runs.items():
                found.append(await measure(kind, folder, mib))
    best = {
        kind: Speed(
            max(each.wall for each in found),
            max(each.processor for each in found),
            min(each.late for each in found),
        )
        for kind, found in runs.items()
    }
    for kind, speed in best.items():
        share = speed.wall / best["flow"].wall
        part = speed.processor / best["flow"].processor
        print(
            f"{kind:28} {speed.wall:8.0f} MiB/s ({share:4.0%}) {speed.processor:8.0f} per processor"
            f" second ({part:4.0%}) {1000 * speed.late:8.1f} ms late"
        )


def _read(folder: str, name: str) -> str:
    with open(f"{folder}/{name}") as file:
        return file.read()


def _write(path: str, blocks: list[bytes]) -> None:
    with open(path, "wb") as file:
        file.writelines(blocks)


if __name__ == "__main__":
    if sys.argv[1:2] == ["receive"]:
        begin = partial(receive, *sys.argv[2:])
    else:
        mib = int(sys.argv[1]) if len(sys.argv) > 1 else 256
        begin = partial(main, mib, sys.argv[2] if len(sys.argv) > 2 else None)

    def run() -> None:
        work = Deferred.fromCoroutine(begin())
        work.addErrback(lambda failure: failure.printTraceback())
        work.addBoth(lambda _: reactor.callLater(0, reactor.stop))

    reactor.callWhenRunning(run)
    reactor.run()
