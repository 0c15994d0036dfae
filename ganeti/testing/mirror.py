# SPDX-License-Identifier: BSD-2-Clause
"""Mirrored disks in memory: copies on several nodes, and wires between them that can be cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ganeti.errors import Code, Refused
from ganeti.model.disk import Disk
from ganeti.model.mirror import resolve_ends
from ganeti.storage.interfaces import IMirror, IVolumes, LocalState, Volume, VolumeStatus

Key = tuple[str, int]
"""A copy: the address of its node, and the port of its disk."""


@dataclass
class MemoryCopy:
    """A node's copy of a disk; sizes in MiB.

    ``current`` copies have all data; of others ``behind`` is missing. ``changed`` was written
    while the peer was not connected. ``listens`` is whether the peer is wanted.
    """

    size: int
    peer: Key
    there: bool = True
    current: bool = False
    behind: float = 0.0
    changed: float = 0.0
    up: bool = False
    listens: bool = False
    writable: bool = False
    both: bool = False
    paused: bool = False
    opened: bool = False


class Copies:
    """All copies of mirrored disks of a test, and what goes on between them.

    A copy that lacks something is filled at ``rate`` MiB per second of ``clock`` while it is
    connected to one that is current.
    """

    def __init__(self, clock: IReactorTime, rate: float = 10.0) -> None:
        self._clock = clock
        self._rate = rate
        self._since = clock.seconds()
        self._all: dict[Key, MemoryCopy] = {}
        self._cut: set[frozenset[str]] = set()
        self._met: set[frozenset[Key]] = set()

    def cut_link(self, one: str, other: str) -> None:
        """Cut the link between two addresses."""
        # Until now, the link was as before; the second call notices the change.
        self.run_due_steps()
        self._cut.add(frozenset({one, other}))
        self.run_due_steps()

    def repair_link(self, one: str, other: str) -> None:
        """Repair a link that was cut."""
        self.run_due_steps()
        self._cut.discard(frozenset({one, other}))
        self.run_due_steps()

    def write(self, key: Key, amount: float) -> None:
        """Let a guest write some MiB."""
        self.run_due_steps()
        copy = self._all[key]
        assert copy.writable, f"{key} is not writable"
        if not self.connected(key):
            copy.changed += amount

    def break_device(self, key: Key) -> None:
        """Let the device below a copy break."""
        self.run_due_steps()
        self._all[key].there = self._all[key].current = False

    def all_copies(self) -> dict[Key, MemoryCopy]:
        self.run_due_steps()
        return self._all

    def get(self, key: Key) -> MemoryCopy | None:
        self.run_due_steps()
        return self._all.get(key)

    def connected(self, key: Key) -> bool:
        """Whether a copy and its peer's talk to each other."""
        copy = self._all[key]
        peer = self._all.get(copy.peer)
        return (
            peer is not None
            and copy.up
            and peer.up
            and copy.listens
            and peer.listens
            and frozenset({key[0], copy.peer[0]}) not in self._cut
        )

    def filling(self, key: Key) -> bool:
        """Whether a copy gets from its peer what it lacks."""
        copy = self._all[key]
        return (
            self.connected(key) and copy.there and not copy.current and self._all[copy.peer].current
        )

    def source(self, key: Key) -> MemoryCopy | None:
        """The current copy behind a disk: a node's own, or its peer's while that is connected."""
        copy = self._all[key]
        peer = self._all[copy.peer] if self.connected(key) else None
        return next((each for each in (copy, peer) if each is not None and each.current), None)

    def listen(self, key: Key, *, both: bool) -> None:
        """Let a copy look for its peer, both of them writable or not."""
        copy = self._all[key]
        peer = self._all.get(copy.peer)
        if copy.writable and peer and peer.writable and self.connected(key) and not both:
            raise Refused("Multiple primaries not allowed by config", Code.STATE)
        copy.listens, copy.both = True, both
        self.run_due_steps()

    def promote(self, key: Key, *, force: bool = False) -> None:
        copy = self._all[key]
        peer = self._all[copy.peer] if self.connected(key) else None
        if peer is not None and peer.writable and not (copy.both and peer.both):
            raise Refused("Multiple primaries not allowed by config", Code.STATE)
        if force and copy.there:
            copy.current, copy.behind = True, 0.0
        if self.source(key) is None:
            raise Refused("Need access to UpToDate data", Code.STATE)
        copy.writable = True
        self.run_due_steps()

    def run_due_steps(self) -> None:
        """Let everything happen that has had its time."""
        passed = (self._clock.seconds() - self._since) * self._rate
        self._since = self._clock.seconds()
        for key, copy in self._all.items():
            pair = frozenset({key, copy.peer})
            if not self.connected(key):
                self._met.discard(pair)
            elif pair not in self._met:
                self._met.add(pair)
                self._meet(copy, self._all[copy.peer])
            # Only from the next step on: the time until now has passed before they met.
            elif self.filling(key) and not copy.paused and not self._all[copy.peer].paused:
                copy.behind = max(0.0, copy.behind - passed)
                copy.current = copy.behind == 0.0

    def _meet(self, one: MemoryCopy, other: MemoryCopy) -> None:
        two_primaries = one.writable and other.writable and not (one.both and other.both)
        if two_primaries or (one.changed and other.changed):
            one.listens = other.listens = False  # a split brain: a person has to decide
            return
        for ahead, late in ((one, other), (other, one)):
            if ahead.changed:
                late.current, late.behind = False, late.behind + ahead.changed
                ahead.changed = 0.0


@implementer(IVolumes, IMirror)
class MemoryMirror:
    """The mirrored disks of the node named ``here``."""

    def __init__(self, copies: Copies, here: str) -> None:
        self._copies = copies
        self._here = here
        self._ours: set[Key] = set()

    async def create(self, disk: Disk, *, owner: str, primary: bool) -> None:
        key, peer = self._keys(disk)
        if self._copies.get(key) is not None:
            raise Refused(f"there is a copy of disk {disk.uuid} already", Code.EXISTS)
        copy = MemoryCopy(disk.size, peer, current=primary, behind=0 if primary else disk.size)
        self._copies.all_copies()[key] = copy
        self._ours.add(key)

    async def remove(self, disk: Disk) -> None:
        await self.detach(disk)
        self._copies.all_copies().pop(self._keys(disk)[0], None)
        self._ours.discard(self._keys(disk)[0])

    async def grow(self, disk: Disk, amount: int) -> None:
        copy = self._present(disk)
        copy.size = max(copy.size, disk.size + amount)

    async def rename(self, disk: Disk, to: Disk) -> None:
        self._present(disk)
        raise Refused("a mirrored disk in memory has no name to change", Code.INPUT)

    async def attach(self, disk: Disk, *, primary: bool, ignore_size: bool = False) -> str:
        copy = self._present(disk)
        copy.up = copy.listens = True
        self._copies.run_due_steps()
        if primary:
            await self.promote(disk)
        return self._path(disk)

    async def detach(self, disk: Disk) -> None:
        copy = self._copies.get(self._keys(disk)[0])
        if copy is None:
            return
        if copy.opened:
            raise Refused(f"{self._path(disk)} is held open by someone", Code.STATE)
        copy.up = copy.listens = copy.writable = copy.both = False
        self._copies.run_due_steps()

    async def describe(self, disks: Sequence[Disk]) -> list[VolumeStatus | None]:
        return [self._describe(disk) for disk in disks]

    async def volumes(self) -> list[Volume]:
        return [
            Volume(name=f"{key[0]}:{key[1]}", size=copy.size, attached=copy.up, opened=copy.opened)
            for key, copy in sorted(self._copies.all_copies().items())
            if key in self._ours
        ]

    async def promote(self, disk: Disk, *, both: bool = False) -> None:
        copy = self._up(disk)
        copy.both = copy.both or both
        self._copies.promote(self._keys(disk)[0])

    async def demote(self, disk: Disk) -> None:
        copy = self._present(disk)
        if copy.opened:
            raise Refused(f"{self._path(disk)} is held open by someone", Code.STATE)
        copy.writable = False

    async def disconnect(self, disk: Disk) -> None:
        self._present(disk).listens = False
        self._copies.run_due_steps()

    async def connect(self, disk: Disk, *, both: bool = False) -> None:
        key, peer = self._keys(disk)
        self._up(disk).peer = peer
        self._copies.listen(key, both=both)

    async def detach_children(self, disk: Disk) -> None:
        copy, key = self._up(disk), self._keys(disk)[0]
        peer = self._copies.all_copies()[copy.peer] if self._copies.connected(key) else None
        if peer is None or not peer.current:
            raise Refused(f"the peer of {self._path(disk)} has no current data", Code.STATE)
        copy.there = copy.current = False

    async def attach_children(self, disk: Disk) -> None:
        copy = self._up(disk)
        if not copy.there:
            copy.there, copy.behind = True, copy.size
        self._copies.run_due_steps()

    async def pause(self, disk: Disk, *, paused: bool) -> None:
        self._present(disk).paused = paused

    def _keys(self, disk: Disk) -> tuple[Key, Key]:
        ends = resolve_ends(disk, self._here)
        return (ends.local_ip, ends.port), (ends.remote_ip, ends.port)

    def _path(self, disk: Disk) -> str:
        return f"/memory/mirror/{resolve_ends(disk, self._here).local_minor}"

    def _describe(self, disk: Disk) -> VolumeStatus | None:
        key = self._keys(disk)[0]
        copy = self._copies.get(key)
        if copy is None:
            return None
        if not copy.up:
            return VolumeStatus(path="", size=copy.size, degraded=True, local=LocalState.UNKNOWN)
        return status(self._copies, key, self._path(disk))

    def _present(self, disk: Disk) -> MemoryCopy:
        copy = self._copies.get(self._keys(disk)[0])
        if copy is None:
            raise Refused(f"this node has no copy of disk {disk.uuid}", Code.UNKNOWN)
        return copy

    def _up(self, disk: Disk) -> MemoryCopy:
        copy = self._present(disk)
        if not copy.up:
            raise Refused(f"disk {disk.uuid} is not attached; attach it first", Code.STATE)
        return copy


def status(copies: Copies, key: Key, path: str) -> VolumeStatus:
    """What there is to say of a copy that is up."""
    copy, connected = copies.all_copies()[key], copies.connected(key)
    peer = copies.all_copies()[copy.peer] if connected else None
    late = next((each for each in (copy, peer) if each and each.there and not each.current), None)
    filling = copies.filling(key) or (connected and copies.filling(copy.peer))
    local = (
        LocalState.OK
        if copy.current
        else LocalState.SYNC
        if copies.filling(key)
        else LocalState.FAULTY
    )
    return VolumeStatus(
        path=path,
        size=copy.size,
        degraded=peer is None or not (copy.current and peer.current),
        local=local,
        sync_percent=100 * (1 - late.behind / late.size) if late and filling else None,
    )
