# SPDX-License-Identifier: BSD-2-Clause
"""Transfers between files, pipes and TLS connections, each in its own thread.

Blocking calls on large buffers let OpenSSL and the kernel work without Python's global lock; the
reactor is involved only at the end of a transfer. With Twisted's TLS transports and producers, the
busier side moved 46 to 84 % as many bytes per second of processor time (nine runs of
tests/bench/bench_transfer.py on a busy host; elapsed times, 59 to 173 %, were inconclusive), all of
it in the reactor thread, which is limited to one processor for all transfers and calls. Therefore
transfers use the standard library's ``ssl``.
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
    ConnectingEndpoint,
    FileEndpoint,
    IListening,
    IStreams,
    ITransfer,
    ListeningEndpoint,
    PipeEndpoint,
    TransferProgress,
)
from ganeti.system.stream_endpoints import CHUNK, FileSink, FileSource, PipeSink, PipeSource
from ganeti.system.tls_peers import Listening, TlsConnection, accept, call, is_truncated

_PIPE = 1 << 20

SourceEnd: TypeAlias = FileEndpoint | PipeEndpoint | ListeningEndpoint
SinkEnd: TypeAlias = FileEndpoint | PipeEndpoint | ConnectingEndpoint
Source: TypeAlias = FileSource | PipeSource | TlsConnection
Sink: TypeAlias = FileSink | PipeSink | TlsConnection


@implementer(IStreams)
class LocalStreams:
    """Transfers of this host; threads report their end to ``reactor``."""

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor

    def listen(self, address: str) -> IListening:
        return Listening.at(address)

    def pipe(self) -> tuple[int, int]:
        read, write = os.pipe()
        with suppress(OSError):  # the host may limit the size, which is still enough
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

    def start_transfer(self, source: SourceEnd, sink: SinkEnd) -> ITransfer:
        return Flow(source, sink, self._reactor)


@implementer(ITransfer)
class Flow:
    """One transfer; its thread owns what it opens, and duplicates of the given pipes."""

    def __init__(self, source: SourceEnd, sink: SinkEnd, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor
        self._moved = 0
        self._connected = not isinstance(source, ListeningEndpoint) and not isinstance(
            sink, ConnectingEndpoint
        )
        self._switch = CancelSwitch()
        self._held: TlsConnection | None = None
        self._over: Failure | None = None
        self._ended = False
        self._asking: list[Deferred[None]] = []
        # Duplicated here: the caller may close its own descriptors as soon as this returns.
        copies = [
            os.dup(end.descriptor) if isinstance(end, PipeEndpoint) else -1
            for end in (source, sink)
        ]
        # A daemon thread: a transfer must not keep the process from ending.
        Thread(target=self._run, args=(source, sink, *copies), name="flow", daemon=True).start()

    # --- in the reactor thread

    def progress(self) -> TransferProgress:
        return TransferProgress(self._connected, self._moved)

    async def ended(self) -> None:
        if not self._ended:
            asking: Deferred[None] = Deferred(self._asking.remove)
            self._asking.append(asking)
            await asking
        if self._over is not None:
            self._over.raiseException()

    def stop(self) -> None:
        self._switch.pull()

    def finish(self, *, well: bool) -> None:
        held, self._held = self._held, None
        if held is not None:
            if well:
                held.answer_close_notify()
            held.close()

    def _thread_ended(self, over: Failure | None) -> None:
        self._over, self._ended = over, True
        asking, self._asking = self._asking, []
        for each in asking:
            each.callback(None)

    # --- in the transfer's thread

    def _run(self, source: SourceEnd, sink: SinkEnd, read: int, write: int) -> None:
        over: Failure | None = None
        try:
            with ExitStack() as opened:
                self._open_and_move(opened, source, sink, read, write)
        except Cancelled:
            over = Failure(Failed("the transfer was canceled"))
        except OSError as e:
            over = Failure(Failed(_describe_error(e), Code.ENVIRONMENT))
        except Exception:
            over = Failure()
        finally:
            self._switch.close()
        self._reactor.callFromThread(self._thread_ended, over)

    def _open_and_move(
        self, opened: ExitStack, source: SourceEnd, sink: SinkEnd, read: int, write: int
    ) -> None:
        # First, so that the duplicates are closed even if another end cannot be opened.
        if write >= 0:
            pipe_sink = PipeSink(write, self._switch)
            opened.callback(pipe_sink.close)
        if read >= 0:
            pipe_source = PipeSource(read, self._switch)
            opened.callback(pipe_source.close)
        # Open local ends first: if that fails, no peer needs to be connected.
        giver: Source | None = None
        taker: Sink
        match source:
            case FileEndpoint():
                giver = FileSource(source.path, follow=source.follow)
                opened.callback(giver.close)
            case PipeEndpoint():
                giver = pipe_source
        match sink:
            case FileEndpoint():
                taker = FileSink(sink.path, create=sink.create, room=sink.room)
                opened.callback(taker.close)
            case PipeEndpoint():
                taker = pipe_sink
            case ConnectingEndpoint():
                taker = call(sink, self._switch)
                opened.callback(taker.close)
        if giver is None:
            assert isinstance(source, ListeningEndpoint)
            self._receive(source, taker)
        else:
            self._connected = True
            self._move(giver, taker)

    def _receive(self, source: ListeningEndpoint, taker: Sink) -> None:
        """Move the data of a peer, and keep the connection for the later confirmation."""
        peer = accept(source, self._switch)
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
                while amount := giver.read_into(view):
                    taker.write_from(buffer, amount)
                    self._moved += amount
                    self._switch.check()
            # Canceling may close the source, which must not be taken for the end of the data.
            self._switch.check()
            taker.complete()
        except OSError:
            self._switch.check()  # a canceled operation may fail with any error
            raise
        self._switch.check()


def _describe_error(error: OSError) -> str:
    if is_truncated(error):
        return "the peer closed the connection before all data was transferred"
    if isinstance(error, ssl.SSLError):
        return explain(Failure(error))
    if isinstance(error, BrokenPipeError):
        return "the receiving end was closed before all data was transferred"
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"
