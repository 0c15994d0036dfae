# SPDX-License-Identifier: BSD-2-Clause
"""Many bytes on their way between files, pipes and TLS connections, each flow in its own thread.

Blocking calls on large buffers let OpenSSL and the kernel work outside of Python's lock; a flow
costs the reactor nothing but to be told of its end. With Twisted's TLS transports and producers the
busier side moved 46 to 84 % as much per second of processor time (nine runs of
tests/bench/bench_transfer.py on a busy host, where elapsed times, 59 to 173 %, said little), all of
it in the reactor, which has one processor for all flows and calls; so flows stay on the standard
library's ``ssl``.
"""

from __future__ import annotations

import fcntl
import os
import ssl
from contextlib import ExitStack, suppress
from threading import Thread
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.errors import Code, Failed
from ganeti.system.cancellation import Cancelled, CancelSwitch
from ganeti.system.connection_errors import explain
from ganeti.system.interfaces import (
    Awaited,
    FileEnd,
    Flowing,
    IFlow,
    IListening,
    IStreams,
    PipeEnd,
    StreamCaller,
)
from ganeti.system.stream_endpoints import CHUNK, FileSink, FileSource, PipeSink, PipeSource
from ganeti.system.tls_peers import Listening, TlsConnection, accept, broke_off, call

_PIPE = 1 << 20

SourceEnd: TypeAlias = FileEnd | PipeEnd | Awaited
SinkEnd: TypeAlias = FileEnd | PipeEnd | StreamCaller
Source: TypeAlias = FileSource | PipeSource | TlsConnection
Sink: TypeAlias = FileSink | PipeSink | TlsConnection


@implementer(IStreams)
class LocalStreams:
    """Flows of this host; ``reactor`` is told from the threads when one has ended."""

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor

    def listen(self, address: str) -> IListening:
        return Listening.at(address)

    def pipe(self) -> tuple[int, int]:
        read, write = os.pipe()
        with suppress(OSError):  # the host may allow less, which is enough, too
            fcntl.fcntl(read, fcntl.F_SETPIPE_SZ, _PIPE)
        return read, write

    def waiting(self, descriptor: int) -> bytes:
        os.set_blocking(descriptor, False)
        try:
            return os.read(descriptor, 4096)
        except BlockingIOError:
            return b""

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def begin(self, source: SourceEnd, sink: SinkEnd) -> IFlow:
        return Flow(source, sink, self._reactor)


@implementer(IFlow)
class Flow:
    """One flow; the thread owns what it opens, and copies of the pipes that it is given."""

    def __init__(self, source: SourceEnd, sink: SinkEnd, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor
        self._moved = 0
        self._connected = not isinstance(source, Awaited) and not isinstance(sink, StreamCaller)
        self._brake = CancelSwitch()
        self._held: TlsConnection | None = None
        self._over: Failure | None = None
        self._ended = False
        self._asking: list[Deferred[None]] = []
        copies = [
            os.dup(end.descriptor) if isinstance(end, PipeEnd) else -1 for end in (source, sink)
        ]
        Thread(target=self._run, args=(source, sink, *copies), name="flow", daemon=True).start()

    # --- in the reactor

    def progress(self) -> Flowing:
        return Flowing(self._connected, self._moved)

    async def ended(self) -> None:
        if not self._ended:
            asking: Deferred[None] = Deferred(self._asking.remove)
            self._asking.append(asking)
            await asking
        if self._over is not None:
            self._over.raiseException()

    def stop(self) -> None:
        self._brake.pull()

    def finish(self, *, well: bool) -> None:
        held, self._held = self._held, None
        if held is not None:
            if well:
                held.say_goodbye()
            held.close()

    def _told(self, over: Failure | None) -> None:
        self._over, self._ended = over, True
        asking, self._asking = self._asking, []
        for each in asking:
            each.callback(None)

    # --- in the thread

    def _run(self, source: SourceEnd, sink: SinkEnd, read: int, write: int) -> None:
        over: Failure | None = None
        try:
            with ExitStack() as opened:
                self._carry(opened, source, sink, read, write)
        except Cancelled:
            over = Failure(Failed("the transfer was stopped"))
        except OSError as e:
            over = Failure(Failed(_words(e), Code.ENVIRONMENT))
        except Exception:
            over = Failure()
        finally:
            self._brake.close()
        self._reactor.callFromThread(self._told, over)

    def _carry(
        self, opened: ExitStack, source: SourceEnd, sink: SinkEnd, read: int, write: int
    ) -> None:
        if write >= 0:
            pipe_sink = PipeSink(write, self._brake)
            opened.callback(pipe_sink.close)
        if read >= 0:
            pipe_source = PipeSource(read, self._brake)
            opened.callback(pipe_source.close)
        # What is on this host is opened first: its failure needs no peer to be told.
        giver: Source | None = None
        taker: Sink
        match source:
            case FileEnd():
                giver = FileSource(source.path)
                opened.callback(giver.close)
            case PipeEnd():
                giver = pipe_source
        match sink:
            case FileEnd():
                taker = FileSink(sink.path, create=sink.create, room=sink.room)
                opened.callback(taker.close)
            case PipeEnd():
                taker = pipe_sink
            case StreamCaller():
                taker = call(sink, self._brake)
                opened.callback(taker.close)
        if giver is None:
            assert isinstance(source, Awaited)
            self._held_back(source, taker)
        else:
            self._connected = True
            self._move(giver, taker)

    def _held_back(self, source: Awaited, taker: Sink) -> None:
        """Move what a peer sends, and keep the connection: it is told later whether all is well."""
        peer = accept(source, self._brake)
        self._connected = True
        try:
            self._move(peer, taker)
        except BaseException:
            peer.close()
            raise
        self._held = peer

    def _move(self, giver: Source, taker: Sink) -> None:
        try:
            buffer = bytearray(CHUNK)
            with memoryview(buffer) as view:
                while amount := giver.fill(view):
                    taker.take(buffer, amount)
                    self._moved += amount
                    self._brake.check()
            # Whoever stops a flow may close its source then, which is not the end of the data.
            self._brake.check()
            taker.settle()
        except OSError:
            self._brake.check()  # what is cut by the brake fails in many ways
            raise
        self._brake.check()


def _words(error: OSError) -> str:
    if broke_off(error):
        return "the peer broke off before everything was there"
    if isinstance(error, ssl.SSLError):
        return explain(Failure(error))
    if isinstance(error, BrokenPipeError):
        return "the receiving end went away before everything was there"
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"
