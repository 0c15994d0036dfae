# SPDX-License-Identifier: BSD-2-Clause
"""Data on its way: between disks and exports of this node, and to and from other nodes.

A transfer is a flow, and a script of the OS definition at one end of it where that is how a disk
is read or written. It is over when both are; a peer that sent it hears so only then.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ganeti.errors import Code, Failed, GanetiError
from ganeti.model.guest import Guest
from ganeti.node.exports import Exports
from ganeti.node.keys import Keys
from ganeti.node.members import MemberList
from ganeti.node.script_streams import from_script, into_script
from ganeti.paths import Paths
from ganeti.rpc import transfers as calls
from ganeti.system.interfaces import (
    Awaited,
    FileEnd,
    IFiles,
    IFlow,
    IListening,
    IStreams,
    PipeEnd,
    StreamCaller,
    StreamPeer,
)

ABANDONED = 60.0
"""Seconds without a question after which nobody waits for a transfer: the master asks all the
time, and its jobs do not survive it."""

MIB = 1 << 20


class ITransferScripts(Protocol):
    """The OS definitions' scripts that transfers need; see ``ganeti.node.scripts``."""

    def export(
        self, guest: Guest, paths: Sequence[str], index: int, *, sink: int, announced: int
    ) -> Coroutine[Any, Any, None]: ...

    def restore(
        self, guest: Guest, paths: Sequence[str], index: int, *, source: int
    ) -> Coroutine[Any, Any, None]: ...


@dataclass
class _Transfer:
    """One transfer; ``work`` fires when it is over, whatever became of it."""

    name: str
    began: float
    flow: IFlow
    sink: object
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
        disks: Callable[[Guest], Awaitable[Sequence[str]]],
        scripts: ITransferScripts,
        keys: Keys,
        exports: Exports,
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
        self._members = members
        self._clock = clock
        self._now = now
        self._transfers: dict[str, _Transfer] = {}
        self._numbers = itertools.count(1)

    # --- calls

    async def start_import(self, call: calls.StartImport) -> calls.Started:
        """Begin to receive, or to restore."""
        if isinstance(call.source, calls.OfExport):
            source: FileEnd | Awaited = FileEnd(self._exports.source(call.source))
            return await self._into(call.sink, source, None)
        party = self._party(call.source.trust, calls.PEER if call.source.trust.key else None)
        if isinstance(call.sink, calls.OfExport):
            await self._exports.sink(call.sink)
        listening = self._listen(call.source.address)
        try:
            greeting = b"M=" + call.source.magic.encode()
            source = Awaited(listening, party, greeting, call.source.patience)
            started = await self._into(call.sink, source, listening.port)
        except BaseException:
            listening.close()
            raise
        self._transfers[started.name].key = call.source.trust.key
        return started

    async def start_export(self, call: calls.StartExport) -> calls.Started:
        """Begin to send, or to dump."""
        if isinstance(call.sink, calls.OfExport):
            sink: FileEnd | StreamCaller = FileEnd(await self._exports.sink(call.sink), create=True)
        else:
            to = call.sink
            party = self._party(to.trust, to.name)
            greeting = b"M=" + to.magic.encode()
            sink = StreamCaller(to.host, to.port, party, greeting, to.patience, to.tries)
        started = await self._from(call.source, sink, call.sink)
        if isinstance(call.sink, calls.ToPeer):
            self._transfers[started.name].key = call.sink.trust.key
        return started

    async def status(self, call: calls.AskTransfers) -> list[calls.TransferStatus | None]:
        return [self._status(self._transfers.get(name)) for name in call.names]

    async def forget(self, call: calls.ForgetTransfer) -> None:
        if transfer := self._transfers.pop(call.name, None):
            await self._end(transfer)
            if transfer.lonely is not None and transfer.lonely.active():
                transfer.lonely.cancel()

    async def close(self) -> None:
        """Stop everything, for the daemon ends."""
        for name in list(self._transfers):
            await self.forget(calls.ForgetTransfer(name=name))

    # --- beginning

    async def _into(
        self, sink: calls.OfDisk | calls.OfExport, source: FileEnd | Awaited, port: int | None
    ) -> calls.Started:
        if isinstance(sink, calls.OfExport):
            path = await self._exports.sink(sink)
            flow = self._streams.begin(source, FileEnd(path, create=True))
            return self._started(self._new(flow, sink), self._ending(flow), port)
        paths = await self._disks(sink.guest)
        size = sink.guest.disks[sink.index].size * MIB
        if sink.raw:
            flow = self._streams.begin(source, FileEnd(paths[sink.index], room=size))
            return self._started(self._new(flow, sink, size), self._ending(flow), port)
        read, write = self._streams.pipe()
        flow = self._streams.begin(source, PipeEnd(write))
        script = self._scripts.restore(sink.guest, paths, sink.index, source=read)
        work = into_script(self._streams, flow, script, read, write)
        return self._started(self._new(flow, sink), self._ending(flow, work), port)

    async def _from(
        self, source: calls.OfDisk | calls.OfExport, sink: FileEnd | StreamCaller, place: object
    ) -> calls.Started:
        if isinstance(source, calls.OfExport):
            path = self._exports.source(source)
            found = self._files.stat(path)
            flow = self._streams.begin(FileEnd(path), sink)
            transfer = self._new(flow, place, found.size if found else None)
            return self._started(transfer, self._ending(flow))
        paths = await self._disks(source.guest)
        if source.raw:
            size = source.guest.disks[source.index].size * MIB
            flow = self._streams.begin(FileEnd(paths[source.index]), sink)
            return self._started(self._new(flow, place, size), self._ending(flow))
        read, write = self._streams.pipe()
        hears, says = self._streams.pipe()
        flow = self._streams.begin(PipeEnd(read), sink)
        self._streams.close(read)
        transfer = self._new(flow, place)
        transfer.announced = hears
        script = self._scripts.export(source.guest, paths, source.index, sink=write, announced=says)
        work = from_script(self._streams, flow, script, write, says)
        return self._started(transfer, self._ending(flow, work))

    def _new(self, flow: IFlow, sink: object, expected: int | None = None) -> _Transfer:
        # Names differ from those of a daemon that ran before this one, too.
        name = f"transfer-{int(self._now() * 1000)}-{next(self._numbers)}"
        transfer = _Transfer(name, self._now(), flow, sink, expected=expected)
        transfer.lonely = self._clock.callLater(ABANDONED, self._abandoned, transfer)
        self._transfers[name] = transfer
        return transfer

    def _started(
        self, transfer: _Transfer, work: Awaitable[None], port: int | None = None
    ) -> calls.Started:
        transfer.work = Deferred.fromCoroutine(self._carry(transfer, work))
        return calls.Started(name=transfer.name, port=port)

    # --- under way

    async def _ending(self, flow: IFlow, work: Awaitable[None] | None = None) -> None:
        well = False
        try:
            await (flow.ended() if work is None else work)
            well = True
        finally:
            flow.finish(well=well)

    async def _carry(self, transfer: _Transfer, work: Awaitable[None]) -> None:
        try:
            await work
        except CancelledError:
            transfer.problem = "it was stopped"
        except GanetiError as e:
            transfer.problem = str(e)
        except Exception:
            self._log.failure("transfer {name} broke", name=transfer.name)
            transfer.problem = "it broke; the log of this node's daemon says more"
        transfer.ended = self._now()
        if transfer.announced is not None:
            self._hear(transfer)
            self._streams.close(transfer.announced)
            transfer.announced = None

    async def _end(self, transfer: _Transfer) -> None:
        """Stop what is under way; both its ends are closed when this returns."""
        if transfer.ended is None:
            transfer.flow.stop()
            transfer.work.cancel()
            with suppress(Failed):
                await transfer.flow.ended()
            await transfer.work

    def _abandoned(self, transfer: _Transfer) -> None:
        self._log.warn("nobody waits for transfer {name}: forgotten", name=transfer.name)
        work = Deferred.fromCoroutine(self._give_up(transfer))
        work.addErrback(lambda failure: self._log.failure("not forgotten", failure))

    async def _give_up(self, transfer: _Transfer) -> None:
        await self.forget(calls.ForgetTransfer(name=transfer.name))
        if isinstance(transfer.sink, calls.OfExport):
            await self._exports.give_up(transfer.sink)
        if transfer.key is not None:
            await self._keys.remove(calls.RemoveCertificate(name=transfer.key))

    # --- what is known

    def _status(self, transfer: _Transfer | None) -> calls.TransferStatus | None:
        if transfer is None:
            return None
        if transfer.lonely is not None and transfer.lonely.active():
            transfer.lonely.reset(ABANDONED)
        self._hear(transfer)
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

    def _hear(self, transfer: _Transfer) -> None:
        """Take what a script has announced: how many bytes it is going to write."""
        if transfer.announced is not None and transfer.expected is None:
            said = self._streams.waiting(transfer.announced).split()
            if said and said[0].isdigit():
                transfer.expected = int(said[0])

    # --- who meets whom

    def _listen(self, address: str) -> IListening:
        try:
            return self._streams.listen(address)
        except OSError as e:
            raise Failed(
                f"cannot listen at {address}: {e.strerror or e}", Code.ENVIRONMENT
            ) from None

    def _party(self, trust: calls.Trust, name: str | None) -> StreamPeer:
        """Who we are, and whom we expect."""
        if trust.key is None:
            own = self._paths.node_certificate
            authority = self._files.read(self._paths.authority).decode()
            return StreamPeer(own, own, authority, name, self._members.fingerprints(name))
        if not trust.peer:
            raise Failed("a key of a move needs the peer's certificate", Code.INPUT)
        key, certificate = self._keys.pair(trust.key)
        return StreamPeer(key, certificate, trust.peer, name)
