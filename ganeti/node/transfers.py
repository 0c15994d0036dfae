# SPDX-License-Identifier: BSD-2-Clause
"""Data transfers between disks and exports of this node, and to and from other nodes.

A transfer consists of a flow, and of a script at one end if the OS definition reads or writes the
disk. It ends when both have ended; a sending peer is only then notified.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ganeti.errors import Code, Failed, GanetiError
from ganeti.model.guest import Guest
from ganeti.node.backup_service import Backups
from ganeti.node.downloads import Download
from ganeti.node.exports import Exports
from ganeti.node.image_library import ImageLibrary
from ganeti.node.keys import Keys
from ganeti.node.members import MemberList
from ganeti.node.script_streams import stream_from_script, stream_into_script
from ganeti.paths import Paths
from ganeti.rpc import transfers as calls
from ganeti.rpc.backup_calls import BackupData, BackupSink, BackupSource
from ganeti.system.interfaces import (
    ConnectingEndpoint,
    FileEndpoint,
    IFiles,
    IListening,
    IProcesses,
    IStreams,
    ITransfer,
    ListeningEndpoint,
    PipeEndpoint,
    StreamPeer,
)

ABANDON_TIMEOUT = 60.0
"""Seconds without a status query after which a transfer is abandoned.

The master polls constantly, and its jobs do not survive a restart.
"""

STALE_AFTER = 10.0
"""Seconds without a status query after which another job may take the place of a transfer."""

MIB = 1 << 20


class ITransferScripts(Protocol):
    """The scripts of OS definitions that transfers use; see ``ganeti.node.scripts``."""

    def export(
        self, guest: Guest, paths: Sequence[str], index: int, *, sink: int, announced: int
    ) -> Coroutine[Deferred[object], object, None]: ...

    def restore(
        self, guest: Guest, paths: Sequence[str], index: int, *, source: int
    ) -> Coroutine[Deferred[object], object, None]: ...


@dataclass
class _Transfer:
    """A transfer; ``work`` fires when it has ended, with any outcome."""

    name: str
    began: float
    flow: ITransfer
    sink: object
    source: object = None
    key: str | None = None
    expected: int | None = None
    announced: int | None = None
    problem: str | None = None
    ended: float | None = None
    work: Deferred[None] = field(default_factory=Deferred)
    lonely: IDelayedCall | None = None


class Transfers:
    """The transfers of this node, by name."""

    _log = Logger()

    def __init__(
        self,
        *,
        streams: IStreams,
        files: IFiles,
        paths: Paths,
        disks: Callable[[Guest], AbstractAsyncContextManager[Sequence[str]]],
        scripts: ITransferScripts,
        keys: Keys,
        exports: Exports,
        backups: Backups,
        library: ImageLibrary,
        processes: IProcesses,
        members: MemberList,
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self._streams = streams
        self._files = files
        self._paths = paths
        self._disks = disks
        self._scripts = scripts
        self._keys = keys
        self._exports = exports
        self._backups = backups
        self._library = library
        self._processes = processes
        self._members = members
        self._clock = clock
        self._now = now
        self._transfers: dict[str, _Transfer] = {}
        self._numbers = itertools.count(1)

    # --- calls

    async def start_import(self, call: calls.StartImport) -> calls.StartedTransfer:
        """Start to receive data, or to restore a dump or a backup."""
        if isinstance(call.sink, calls.ImageData):
            return await self._start_image(call.source, call.sink)
        if isinstance(call.source, calls.UploadData | calls.UrlSource):
            raise Failed("uploads and downloads become images only", Code.INPUT)
        if isinstance(call.source, BackupData):
            return await self._restore_backup(call.source, call.sink)
        if isinstance(call.source, calls.ExportData):
            source: FileEndpoint | ListeningEndpoint = FileEndpoint(
                self._exports.source(call.source)
            )
            return await self._start_receiving(call.sink, source, None)
        if isinstance(call.sink, calls.ExportData):
            await self._exports.sink(call.sink)
        source = self._await_peer(call.source)
        try:
            started = await self._start_receiving(call.sink, source, source.listening.port)
        except BaseException:
            source.listening.close()
            raise
        self._transfers[started.name].key = call.source.trust.key
        return started

    async def _start_image(self, source: object, sink: calls.ImageData) -> calls.StartedTransfer:
        """Start to receive an image from another node, a URL, or an upload to this host."""
        await self._remove_stale(sink)
        path = await self._library.begin_transfer(sink)
        port: int | None = None
        transfer: _Transfer
        try:
            match source:
                case calls.UrlSource():
                    return self._start_download(source, sink, path)
                case calls.UploadData():
                    given = self._library.upload_path(source)
                    found = self._files.stat(given)
                    flow = self._streams.start_transfer(
                        FileEndpoint(given, follow=False), FileEndpoint(path, create=True)
                    )
                    transfer = self._register(flow, sink, found.size if found else None)
                case calls.PeerSource():
                    peer = self._await_peer(source)
                    port = peer.listening.port
                    flow = self._streams.start_transfer(peer, FileEndpoint(path, create=True))
                    transfer = self._register(flow, sink)
                case _:
                    raise Failed("an export is not an image", Code.INPUT)
        except BaseException:
            await self._library.end_transfer(sink, keep=True)
            raise
        return self._start_work(transfer, self._finish_flow(flow), port)

    async def _remove_stale(self, sink: calls.ImageData) -> None:
        """Remove a transfer of the same image whose job has ended, as by the end of its master."""
        latest = self._clock.seconds() + ABANDON_TIMEOUT - STALE_AFTER
        for transfer in list(self._transfers.values()):
            lonely = transfer.lonely
            waits = lonely is not None and lonely.active() and lonely.getTime() <= latest
            if transfer.sink == sink and waits:
                await self.remove_transfer(calls.RemoveTransfer(name=transfer.name))

    def _start_download(
        self, source: calls.UrlSource, sink: calls.ImageData, path: str
    ) -> calls.StartedTransfer:
        hears, says = self._streams.pipe()
        flow = Download(self._processes, self._files, source.url, path, says)
        transfer = self._register(flow, sink)
        transfer.announced = hears
        return self._start_work(transfer, self._finish_download(flow, says))

    async def _finish_download(self, flow: Download, announce: int) -> None:
        try:
            await flow.ended()
        finally:
            self._streams.close(announce)

    async def start_export(self, call: calls.StartExport) -> calls.StartedTransfer:
        """Start to send data, or to write a dump or a backup."""
        if isinstance(call.sink, BackupSink):
            return self._back_up_here(call.source, call.sink)
        if isinstance(call.sink, calls.ExportData):
            sink: FileEndpoint | ConnectingEndpoint = FileEndpoint(
                await self._exports.sink(call.sink), create=True
            )
        else:
            to = call.sink
            party = self._make_peer(to.trust, to.name)
            greeting = b"M=" + to.magic.encode()
            sink = ConnectingEndpoint(to.host, to.port, party, greeting, to.patience, to.tries)
        started = await self._start_sending(call.source, sink, call.sink)
        if isinstance(call.sink, calls.PeerSink):
            self._transfers[started.name].key = call.sink.trust.key
        return started

    async def status(self, call: calls.DescribeTransfers) -> list[calls.TransferStatus | None]:
        return [self._describe(self._transfers.get(name)) for name in call.names]

    async def remove_transfer(self, call: calls.RemoveTransfer) -> None:
        if transfer := self._transfers.pop(call.name, None):
            await self._stop_transfer(transfer)
            if transfer.lonely is not None and transfer.lonely.active():
                transfer.lonely.cancel()
            if isinstance(transfer.sink, calls.ImageData):
                await self._library.end_transfer(transfer.sink, keep=True)

    async def close(self) -> None:
        """Stop all transfers, because the daemon stops."""
        for name in list(self._transfers):
            await self.remove_transfer(calls.RemoveTransfer(name=name))

    # --- start

    async def _start_receiving(
        self,
        sink: calls.DiskData | calls.ExportData | BackupSink,
        source: FileEndpoint | ListeningEndpoint,
        port: int | None,
    ) -> calls.StartedTransfer:
        if isinstance(sink, calls.ExportData):
            path = await self._exports.sink(sink)
            flow = self._streams.start_transfer(source, FileEndpoint(path, create=True))
            return self._start_work(self._register(flow, sink), self._finish_flow(flow), port)
        if isinstance(sink, BackupSink):
            read, write = self._streams.pipe()
            flow = self._streams.start_transfer(source, PipeEndpoint(write))
            script = self._backups.store_areas(sink, read)
            work = stream_into_script(self._streams, flow, script, read, write)
            return self._start_work(self._register(flow, sink), self._finish_flow(flow, work), port)
        async with self._open_disks(sink.guest) as (paths, held):
            size = sink.guest.disks[sink.index].size * MIB
            if sink.raw:
                file = FileEndpoint(paths[sink.index], room=size)
                flow = self._streams.start_transfer(source, file)
                work, expected = self._finish_flow(flow), size
            else:
                read, write = self._streams.pipe()
                flow = self._streams.start_transfer(source, PipeEndpoint(write))
                script = self._scripts.restore(sink.guest, paths, sink.index, source=read)
                streamed = stream_into_script(self._streams, flow, script, read, write)
                work, expected = self._finish_flow(flow, streamed), None
            disks = held.pop_all()
        return self._start_work(self._register(flow, sink, expected), _within(disks, work), port)

    async def _start_sending(
        self,
        source: calls.DiskData | calls.ExportData | calls.ImageData | BackupSource | BackupData,
        sink: FileEndpoint | ConnectingEndpoint,
        place: object,
    ) -> calls.StartedTransfer:
        if isinstance(source, calls.ExportData):
            path = self._exports.source(source)
            found = self._files.stat(path)
            flow = self._streams.start_transfer(FileEndpoint(path), sink)
            transfer = self._register(flow, place, found.size if found else None)
            return self._start_work(transfer, self._finish_flow(flow))
        if isinstance(source, calls.ImageData):
            path = self._library.copy_path(source)
            found = self._files.stat(path)
            flow = self._streams.start_transfer(FileEndpoint(path), sink)
            transfer = self._register(flow, place, found.size if found else None)
            return self._start_work(transfer, self._finish_flow(flow))
        if isinstance(source, BackupSource | BackupData):
            return self._send_backup(source, sink, place)
        async with self._open_disks(source.guest) as (paths, held):
            if source.raw:
                size = source.guest.disks[source.index].size * MIB
                flow = self._streams.start_transfer(FileEndpoint(paths[source.index]), sink)
                transfer, work = self._register(flow, place, size), self._finish_flow(flow)
            else:
                read, write = self._streams.pipe()
                hears, says = self._streams.pipe()
                flow = self._streams.start_transfer(PipeEndpoint(read), sink)
                # The flow has its own copy. With another one open, a script would never learn that
                # the flow has ended, and block.
                self._streams.close(read)
                transfer = self._register(flow, place)
                transfer.announced = hears
                script = self._scripts.export(
                    source.guest, paths, source.index, sink=write, announced=says
                )
                streamed = stream_from_script(self._streams, flow, script, write, says)
                work = self._finish_flow(flow, streamed)
            disks = held.pop_all()
        return self._start_work(transfer, _within(disks, work))

    @asynccontextmanager
    async def _open_disks(
        self, guest: Guest
    ) -> AsyncIterator[tuple[Sequence[str], AsyncExitStack]]:
        """Return the paths of disks, and what closes them at the end unless it is taken over."""
        async with AsyncExitStack() as held:
            yield await held.enter_async_context(self._disks(guest)), held

    # --- backups

    async def _restore_backup(
        self, source: BackupData, sink: calls.DiskData | calls.ExportData | BackupSink
    ) -> calls.StartedTransfer:
        """Start to restore a disk from a repository on this node."""
        if not isinstance(sink, calls.DiskData):
            raise Failed("a backup can only be restored to a disk", Code.INPUT)
        async with self._open_disks(sink.guest) as (paths, held):
            size = sink.guest.disks[sink.index].size * MIB
            file = FileEndpoint(paths[sink.index], room=size)
            return self._send_backup(source, file, sink, disks=held.pop_all())

    def _send_backup(
        self,
        source: BackupSource | BackupData,
        sink: FileEndpoint | ConnectingEndpoint,
        place: object,
        *,
        disks: AsyncExitStack | None = None,
    ) -> calls.StartedTransfer:
        """Start to send the areas of a disk, or the disk of a backup; ``disks`` are closed then."""
        read, write = self._streams.pipe()
        flow = self._streams.start_transfer(PipeEndpoint(read), sink)
        self._streams.close(read)
        script = (
            self._backups.send_areas(source, write)
            if isinstance(source, BackupSource)
            else self._backups.send_backup(source, write)
        )
        transfer = self._register(flow, place)
        transfer.source = source
        work = self._finish_flow(flow, self._run_sender(flow, script, write))
        return self._start_work(transfer, work if disks is None else _within(disks, work))

    async def _run_sender(
        self, flow: ITransfer, script: Coroutine[Deferred[object], object, None], write: int
    ) -> None:
        # No size is announced, as zeros and what has not changed are not sent.
        hears, says = self._streams.pipe()
        try:
            await stream_from_script(self._streams, flow, script, write, says)
        finally:
            self._streams.close(hears)

    def _back_up_here(self, source: object, sink: BackupSink) -> calls.StartedTransfer:
        """Start to store a disk of this node in a repository on this node."""
        if not isinstance(source, BackupSource):
            raise Failed("a repository only stores disks", Code.INPUT)
        read, out = self._streams.pipe()
        into, write = self._streams.pipe()
        flow = self._streams.start_transfer(PipeEndpoint(read), PipeEndpoint(write))
        self._streams.close(read)
        sending = self._run_sender(flow, self._backups.send_areas(source, out), out)
        storing = stream_into_script(
            self._streams, flow, self._backups.store_areas(sink, into), into, write
        )
        work = self._finish_flow(flow, _both(sending, storing))
        transfer = self._register(flow, sink)
        transfer.source = source
        return self._start_work(transfer, work)

    def _register(self, flow: ITransfer, sink: object, expected: int | None = None) -> _Transfer:
        # The time keeps names distinct from those of an earlier daemon.
        name = f"transfer-{int(self._now() * 1000)}-{next(self._numbers)}"
        transfer = _Transfer(name, self._now(), flow, sink, expected=expected)
        transfer.lonely = self._clock.callLater(ABANDON_TIMEOUT, self._on_abandoned, transfer)
        self._transfers[name] = transfer
        return transfer

    def _start_work(
        self, transfer: _Transfer, work: Awaitable[None], port: int | None = None
    ) -> calls.StartedTransfer:
        transfer.work = Deferred.fromCoroutine(self._run_transfer(transfer, work))
        return calls.StartedTransfer(name=transfer.name, port=port)

    # --- running transfers

    async def _finish_flow(self, flow: ITransfer, work: Awaitable[None] | None = None) -> None:
        well = False
        try:
            await (flow.ended() if work is None else work)
            well = True
        finally:
            flow.finish(well=well)

    async def _run_transfer(self, transfer: _Transfer, work: Awaitable[None]) -> None:
        try:
            await work
        except CancelledError:
            transfer.problem = "the transfer was stopped"
        except GanetiError as e:
            transfer.problem = str(e)
        except Exception:
            self._log.failure("internal error in transfer {name}", name=transfer.name)
            transfer.problem = "internal error; the log of the node daemon has the details"
        transfer.ended = self._now()
        if transfer.announced is not None:
            self._read_announced_size(transfer)
            self._streams.close(transfer.announced)
            transfer.announced = None

    async def _stop_transfer(self, transfer: _Transfer) -> None:
        """Stop a transfer; both its ends are closed when this returns."""
        if transfer.ended is None:
            transfer.flow.stop()
            transfer.work.cancel()
            # The flow also fails by being stopped.
            with suppress(Failed):
                await transfer.flow.ended()
            await transfer.work

    def _on_abandoned(self, transfer: _Transfer) -> None:
        self._log.warn("abandoned transfer {name}: no status query", name=transfer.name)
        work = Deferred.fromCoroutine(self._discard(transfer))
        work.addErrback(
            lambda failure: self._log.failure("an abandoned transfer could not be removed", failure)
        )

    async def _discard(self, transfer: _Transfer) -> None:
        await self.remove_transfer(calls.RemoveTransfer(name=transfer.name))
        if isinstance(transfer.sink, calls.ExportData):
            await self._exports.give_up(transfer.sink)
        if transfer.key is not None:
            await self._keys.remove(calls.RemoveCertificate(name=transfer.key))

    # --- status

    def _describe(self, transfer: _Transfer | None) -> calls.TransferStatus | None:
        if transfer is None:
            return None
        if transfer.lonely is not None and transfer.lonely.active():
            transfer.lonely.reset(ABANDON_TIMEOUT)
        if isinstance(transfer.sink, BackupSink):
            self._backups.keep_backup(transfer.sink)
        if isinstance(transfer.source, BackupSource):
            self._backups.keep_guest(transfer.source)
        self._read_announced_size(transfer)
        flowing = transfer.flow.progress()
        seconds = (transfer.ended or self._now()) - transfer.began
        rate = flowing.moved / seconds if seconds > 0 else 0.0
        left = None if transfer.expected is None else max(0, transfer.expected - flowing.moved)
        return calls.TransferStatus(
            connected=flowing.connected,
            moved=flowing.moved,
            rate=rate,
            expected=transfer.expected,
            eta=None if left is None or not rate else left / rate,
            over=transfer.ended is not None,
            problem=transfer.problem,
        )

    def _read_announced_size(self, transfer: _Transfer) -> None:
        """Read the output size in bytes that a script has announced, if it has."""
        if transfer.announced is not None and transfer.expected is None:
            announced = self._streams.waiting(transfer.announced).split()
            if announced and announced[0].isdigit():
                transfer.expected = int(announced[0])

    # --- peers

    def _await_peer(self, source: calls.PeerSource) -> ListeningEndpoint:
        """Listen for the peer that sends the data."""
        party = self._make_peer(source.trust, calls.PEER if source.trust.key else None)
        greeting = b"M=" + source.magic.encode()
        return ListeningEndpoint(self._listen(source.address), party, greeting, source.patience)

    def _listen(self, address: str) -> IListening:
        try:
            return self._streams.listen(address)
        except OSError as e:
            raise Failed(
                f"cannot listen at {address}: {e.strerror or e}", Code.ENVIRONMENT
            ) from None

    def _make_peer(self, trust: calls.Trust, name: str | None) -> StreamPeer:
        """Return the credentials to present, and the peer to expect."""
        if trust.key is None:
            own = self._paths.node_certificate
            authority = self._files.read(self._paths.authority).decode()
            return StreamPeer(own, own, authority, name, self._members.fingerprints(name))
        if not trust.peer:
            raise Failed("a key for a move needs the certificate of the peer", Code.INPUT)
        key, certificate = self._keys.pair(trust.key)
        return StreamPeer(key, certificate, trust.peer, name)


async def _within(disks: AsyncExitStack, work: Awaitable[None]) -> None:
    """Do the work of a transfer, and close its disks."""
    async with disks:
        await work


async def _both(
    one: Coroutine[Deferred[object], object, None], other: Coroutine[Deferred[object], object, None]
) -> None:
    """Await both; the failure of one is raised when both have ended."""
    running = [Deferred.fromCoroutine(each) for each in (one, other)]
    failures: list[BaseException] = []
    for each in running:
        try:
            await each
        except CancelledError:
            for other_one in running:
                other_one.cancel()
            failures.append(CancelledError())
        except GanetiError as e:
            failures.append(e)
    if failures:
        raise failures[0]
