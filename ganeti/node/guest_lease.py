# SPDX-License-Identifier: BSD-2-Clause
"""The node's part in the lease of its guests, and in the leases of other nodes.

``rpc.guest_lease`` has the rules. Whether this node is protected is on disk: after a restart or a
reboot it starts no guests until it has a lease again. The end of the lease is a note that does not
survive a reboot; ``node.watchdog`` reads it, and ends the guests even if this daemon does not run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TypeAlias, TypeVar

import msgspec
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ganeti.errors import Code, Failed, GanetiError, Refused
from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.model.failover import GuardKind
from ganeti.node.guest_kill import kill_guests
from ganeti.rpc.guest_lease import (
    LEASE,
    CleanReport,
    DenyGuestLeases,
    Elector,
    ExtendGuestLease,
    GuardReport,
    ProveClean,
    RenewGuestLease,
)
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record, replace
from ganeti.schema.types import Count, Line, Number
from ganeti.storage.drbd import status_parsers as drbd
from ganeti.system.interfaces import IFiles, IStateFiles

LEASE_NOTE, WATCHDOG_NOTE = "lease", "watchdog"
"""The notes of the lease and of the watchdog."""

NOT_RUNNING = "ganeti-watchdog does not run"

BEAT_TIMEOUT = 3.0
"""Seconds after which a watchdog that has written no note is taken for dead."""

WATCHDOG_START_INTERVAL = 5.0
"""Seconds between two attempts to start a watchdog that does not run."""

SILENCE = 3.0
"""Seconds without a renewal by the master after which the electors are asked."""

RECENT = 5.0
"""Seconds for which an extension shows that a node runs."""


class LeaseNote(Record):
    """The lease, for the watchdog: when it ends by the clock of the boot ``boot_id``."""

    boot_id: Line
    protected: bool
    end: Number = 0.0


class WatchdogNote(Record):
    """What the watchdog does: ``beat`` is the time of this note by the clock of the boot."""

    boot_id: Line
    beat: Number
    guard: GuardKind
    timeout: Count = 0
    problem: Line = ""


class LeaseFile(Record):
    """What the master has said about this node's lease, and in which revision of the state."""

    revision: Count = 0
    protected: bool = False
    electors: tuple[Elector, ...] = ()


class DeniedFile(Record):
    """The nodes whose leases this node does not extend."""

    revision: Count = 0
    nodes: tuple[Line, ...] = ()


Note = TypeVar("Note", bound=Record)
Kept = TypeVar("Kept", LeaseFile, DeniedFile)

AskElector: TypeAlias = Callable[
    [Elector, ExtendGuestLease], Coroutine[Deferred[object], object, bool]
]
"""Asks a node to extend the lease of this one.

:raises GanetiError: there is no answer, or it is an error.
"""


StartWatchdog: TypeAlias = Callable[[], Awaitable[None]]
"""Starts the watchdog of this host, if it does not run."""


async def start_no_watchdog() -> None:
    """Start nothing."""


async def ask_nobody(elector: Elector, call: ExtendGuestLease) -> bool:
    """Refuse; for nodes that cannot ask others."""
    return False


def read_note(notes: IStateFiles, name: str, kind: type[Note]) -> Note | None:
    """Return a note, or None if it does not exist or is damaged."""
    text = notes.read_all().get(name)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except UNREADABLE:
        return None


class GuestLease:
    """Handles the calls for leases; ``tick`` has to be called about once per second."""

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        folder: str,
        notes: IStateFiles,
        clock: IReactorTime,
        *,
        name: str,
        uptime: Callable[[], float],
        boot_id: Callable[[], str],
        hypervisors: Mapping[str, IHypervisor],
        ask: AskElector = ask_nobody,
        start_watchdog: StartWatchdog = start_no_watchdog,
    ) -> None:
        """``folder`` is that of persistent files, ``notes`` are volatile.

        ``uptime`` is a clock that all processes of this host share, and that counts while the host
        is suspended.
        """
        self._files = files
        self._lease_path = f"{folder}/guest-lease"
        self._denied_path = f"{folder}/denied-leases"
        self._notes = notes
        self._clock = clock
        self._name = name
        self._uptime = uptime
        self._boot_id = boot_id
        self._hypervisors = hypervisors
        self._ask = ask
        self._start_watchdog = start_watchdog
        self._watchdog_started = -WATCHDOG_START_INTERVAL
        self._lock = DeferredLock()
        self._lease = self._read(self._lease_path, LeaseFile)
        self._denied = self._read(self._denied_path, DeniedFile)
        self._renewed = 0.0
        self._extended: dict[str, float] = {}
        self._end = 0.0
        if self._lease.protected:
            note = read_note(notes, LEASE_NOTE, LeaseNote)
            if note is not None and note.boot_id == boot_id():
                self._end = note.end
            # Without a note, this is another boot: the watchdog has to know that there is a lease.
            self._write_note()
        elif notes.read_all().get(LEASE_NOTE) is not None:
            self._write_note()  # of a cluster that this node has left

    # --- state

    @property
    def protected(self) -> bool:
        """Whether guests may run only while there is a lease."""
        return self._lease.protected

    @property
    def ended(self) -> bool:
        """Whether no guest may run on this node."""
        return self._lease.protected and self._uptime() >= self._end

    def require(self) -> None:
        """Refuse to start a guest if it might be started on another node as well.

        :raises Refused: the lease has ended.
        """
        if self.ended:
            raise Refused(
                f"node {self._name} has lost the contact to the cluster, and must not run guests"
                " until the master has renewed their lease; see gnt-cluster failover status",
                Code.STATE,
            )

    def forget(self) -> None:
        """Let guests run without a lease, because this node leaves its cluster."""
        self._lease = LeaseFile()
        self._write_note()

    # --- calls

    async def renew(self, call: RenewGuestLease) -> GuardReport:
        async with self._lock:
            if call.revision >= self._lease.revision:
                await self._follow(call)
        return self._report()

    async def _follow(self, call: RenewGuestLease) -> None:
        before, answered, now = self._lease, call.answered, self._uptime()
        # A reading of another boot, or of the future, says nothing about this boot's clock.
        counts = answered is not None and call.boot_id == self._boot_id() and answered <= now
        end = answered + LEASE if answered is not None and counts else 0.0
        self._lease = replace(before, revision=call.revision)
        if call.protect is None or (call.protect and not before.protected and end <= now):
            return
        if (before.protected, before.electors) != (call.protect, call.electors):
            new = LeaseFile(revision=call.revision, protected=call.protect, electors=call.electors)
            # On disk first: after a crash, the node must know that its guests need a lease.
            await self._write(self._lease_path, new)
            self._lease = new
            if before.protected != new.protected:
                self._log.info(
                    "the guests of this node {need} a lease from now on",
                    need="need" if new.protected else "do not need",
                )
        if counts:
            # The answer may be older than what the electors have granted since.
            self._end, self._renewed = max(self._end, end), now
        self._write_note()

    async def extend(self, call: ExtendGuestLease) -> bool:
        """Return whether another node may run its guests for another while."""
        granted = call.node not in self._denied.nodes
        if granted:
            self._extended[call.node] = self._clock.seconds()
        return granted

    async def deny(self, call: DenyGuestLeases) -> tuple[str, ...]:
        """Store the nodes whose leases are not extended; return those extended recently."""
        async with self._lock:
            if call.revision >= self._denied.revision and call.nodes != self._denied.nodes:
                new = DeniedFile(revision=call.revision, nodes=call.nodes)
                # On disk before the answer: after a restart, this node must not extend what it has
                # denied.
                await self._write(self._denied_path, new)
                self._denied = new
            elif call.revision > self._denied.revision:
                # In memory only, as the list on disk has the same nodes.
                self._denied = replace(self._denied, revision=call.revision)
            if call.nodes != self._denied.nodes:
                raise Failed("there is a newer list of fenced nodes", Code.STATE)
        since = self._clock.seconds() - RECENT
        return tuple(sorted(name for name, at in self._extended.items() if at >= since))

    async def prove_clean(self, _: ProveClean) -> CleanReport:
        """Report the guests that run on this node, and the disks that it could write to."""
        found = [
            f"instance {name} is running"
            if name in hypervisor.running()
            else f"a migration of instance {name} to or from here has not ended"
            for hypervisor in self._hypervisors.values()
            for name in sorted(hypervisor.present())
        ]
        # Without the kernel module, no device is open.
        with suppress(OSError):
            text = self._files.read(drbd.PROC).decode("utf-8", "replace")
            found += [
                f"disk {drbd.path(minor)} is open for writing"
                for minor, status in sorted(drbd.minors(text).items())
                if status.primary
            ]
        return CleanReport(leftovers=tuple(found), uptime=self._uptime())

    # --- time

    async def tick(self) -> None:
        """Ask the electors for another while if the master is silent; end guests without a lease.

        :raises OSError: a note could not be written.
        :raises Failed: the watchdog does not start.
        """
        if not self._lease.protected:
            return
        now = self._uptime()
        if now >= self._end:
            await kill_guests(self._hypervisors)
        elif now - self._renewed >= SILENCE:
            await self._ask_electors()
        seconds = self._clock.seconds()
        if (
            self._find_watchdog() is None
            and seconds - self._watchdog_started >= WATCHDOG_START_INTERVAL
        ):
            self._watchdog_started = seconds
            await self._start_watchdog()

    async def _ask_electors(self) -> None:
        # Counted from before the question, so that a late answer does not make the lease longer.
        sent, electors = self._uptime(), self._lease.electors
        asked = [Deferred.fromCoroutine(self._is_extended_by(each)) for each in electors]
        granted = 0
        for each in asked:
            granted += await each
        # The master may have ended the protection while the electors were asked.
        if 2 * granted > len(electors) and self._lease.protected:
            self._end = max(self._end, sent + LEASE)
            self._write_note()

    async def _is_extended_by(self, elector: Elector) -> bool:
        if elector.name == self._name:
            return self._name not in self._denied.nodes
        call = ExtendGuestLease(node=self._name)
        asking = Deferred.fromCoroutine(self._ask(elector, call))
        try:
            return await asking.addTimeout(call.call_timeout, self._clock)
        # No answer is not a consent; the other electors may still be enough.
        except (GanetiError, TimedOut, OSError):
            return False

    # --- files

    def _find_watchdog(self) -> WatchdogNote | None:
        """Return what the watchdog says, or None if it does not run."""
        note = read_note(self._notes, WATCHDOG_NOTE, WatchdogNote)
        if note is None or note.boot_id != self._boot_id():
            return None
        return note if self._uptime() - note.beat < BEAT_TIMEOUT else None

    def _report(self) -> GuardReport:
        watchdog = self._find_watchdog()
        return GuardReport(
            at=self._uptime(),
            boot_id=self._boot_id(),
            protected=self._lease.protected,
            guard=watchdog.guard if watchdog is not None else None,
            timeout=watchdog.timeout if watchdog is not None else 0,
            electors=tuple(each.name for each in self._lease.electors),
            problem=watchdog.problem if watchdog is not None else NOT_RUNNING,
        )

    def _write_note(self) -> None:
        note = LeaseNote(boot_id=self._boot_id(), protected=self._lease.protected, end=self._end)
        self._notes.put(LEASE_NOTE, msgspec.json.encode(note))

    def _read(self, path: str, kind: type[Kept]) -> Kept:
        if self._files.stat(path) is None:
            return kind()
        try:
            return msgspec.json.decode(self._files.read(path), type=kind)
        except UNREADABLE as e:
            raise Failed(
                f"{path} is damaged ({e}); make sure that no guests run here, and remove it",
                Code.ENVIRONMENT,
            ) from None

    async def _write(self, path: str, content: Record) -> None:
        await self._files.replace(path, msgspec.json.encode(content), mode=0o600)
