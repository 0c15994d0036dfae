# SPDX-License-Identifier: BSD-2-Clause
"""Simulated DRBD disks on one host: two connected copies are hard links to one file.

So both nodes see what a guest writes, and a resync takes no time. When the copies of a writable
disk are disconnected, they become two files. The state that DRBD's kernel module would have is in
one small file for each copy, which both nodes read and write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from zope.interface import implementer

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk
from ganeti.model.mirror import ENDS, resolve_ends
from ganeti.schema.documents import UNREADABLE
from ganeti.storage.interfaces import IMirror, IVolumes, LocalState, Volume, VolumeStatus
from ganeti.storage.pretend.volumes import PretendVolumes, volume_path
from ganeti.system import hardlinks


class MirrorCopy(msgspec.Struct, forbid_unknown_fields=True):
    """The state of a node's copy.

    ``there`` is whether it has data, ``current`` whether that is up to date; ``changed`` is set if
    it was written while disconnected. ``listens`` is whether it waits for its peer.
    """

    peer: str
    there: bool = True
    current: bool = False
    changed: bool = False
    up: bool = False
    listens: bool = False
    writable: bool = False
    both: bool = False


@dataclass
class MirrorSide:
    """A copy, the path of its data, and the path of its state."""

    copy: MirrorCopy
    path: str
    note: str


@implementer(IVolumes, IMirror)
class PretendMirror:
    """The DRBD disks of the node named ``here``; the nodes share ``folder``."""

    def __init__(self, folder: str, here: str, below: PretendVolumes) -> None:
        self._folder = folder
        self._here = here
        self._below = below

    async def create(self, disk: Disk, *, owner: str, primary: bool) -> None:
        made: list[Disk] = []
        try:
            for child in disk.children:
                await self._below.create(child, owner=owner, primary=primary)
                made.append(child)
        except BaseException:
            for child in made:
                await self._below.remove(child)
            raise
        with hardlinks.locked(self._folder):
            _write_copy(
                self._state_path(disk, self._here),
                MirrorCopy(self._peer_name(disk), current=primary),
            )

    async def remove(self, disk: Disk) -> None:
        await self.detach(disk)
        # The state goes first: a copy without its file would look like a disk that has failed.
        with hardlinks.locked(self._folder):
            _write_copy(self._state_path(disk, self._here), None)
        for child in disk.children:
            await self._below.remove(child)

    async def grow(self, disk: Disk, amount: int) -> None:
        await self._below.grow(disk.children[0], amount)

    async def rename(self, disk: Disk, to: Disk) -> None:
        for child, new in zip(disk.children, to.children, strict=True):
            if child.logical_id != new.logical_id:
                await self._below.rename(child, new)

    async def attach(self, disk: Disk, *, primary: bool, ignore_size: bool = False) -> str:
        with self._pair(disk) as pair:
            mine = pair.mine
            if not mine.up:
                mine.up = mine.listens = True
            mine.peer = self._peer_name(disk)
            pair.update_states()
            if primary and not mine.writable:
                pair.promote(both=False)
            return pair.here.path

    async def detach(self, disk: Disk) -> None:
        if self._read_copy(disk) is None:
            return
        with self._pair(disk) as pair:
            mine = pair.mine
            mine.up = mine.listens = mine.writable = mine.both = False

    async def describe(self, disks: Sequence[Disk]) -> list[VolumeStatus | None]:
        sizes = await self._below.describe([disk.children[0] for disk in disks])
        return [
            self._describe(disk, None if below is None else below.size)
            for disk, below in zip(disks, sizes, strict=True)
        ]

    async def volumes(self) -> list[Volume]:
        return []

    async def promote(self, disk: Disk, *, both: bool = False) -> None:
        with self._attached(disk) as pair:
            pair.promote(both=both)

    async def demote(self, disk: Disk) -> None:
        if self._read_copy(disk) is not None:
            with self._pair(disk) as pair:
                pair.mine.writable = False

    async def disconnect(self, disk: Disk) -> None:
        with self._pair(disk) as pair:
            pair.mine.listens = False

    async def connect(self, disk: Disk, *, both: bool = False) -> None:
        with self._attached(disk) as pair:
            mine, peer = pair.mine, pair.peer
            if mine.writable and peer and peer.writable and pair.connected and not both:
                raise Refused(f"both copies of disk {disk.uuid} are writable; demote one", _STATE)
            mine.peer = self._peer_name(disk)
            mine.listens, mine.both = True, both

    async def detach_children(self, disk: Disk) -> None:
        with self._attached(disk) as pair:
            if not (pair.connected and pair.peer and pair.peer.current):
                raise Refused(
                    f"the peer of disk {disk.uuid} has no current data, so this node's copy is"
                    " needed; wait until the peer is connected and in sync",
                    _STATE,
                )
            pair.mine.there = pair.mine.current = False

    async def attach_children(self, disk: Disk) -> None:
        with self._attached(disk) as pair:
            pair.mine.there = True

    async def pause(self, disk: Disk, *, paused: bool) -> None:
        """Do nothing, as a resync takes no time."""

    def _describe(self, disk: Disk, size: int | None) -> VolumeStatus | None:
        if self._read_copy(disk) is None:
            return None
        with self._pair(disk) as pair:
            mine, peer = pair.mine, pair.peer
            if not mine.up:
                return VolumeStatus(path="", size=size, degraded=True, local=LocalState.UNKNOWN)
            whole = pair.connected and mine.current and peer is not None and peer.current
            return VolumeStatus(
                path=pair.here.path,
                minor=resolve_ends(disk, self._here).local_minor,
                size=size,
                degraded=not whole,
                local=LocalState.OK if mine.current else LocalState.FAULTY,
            )

    @contextmanager
    def _pair(self, disk: Disk) -> Iterator[MirrorPair]:
        """Yield both copies with their current state; changes are written unless an error is
        raised."""
        # Each node is a process of its own, and all of them write in this folder.
        with hardlinks.locked(self._folder):
            here = self._read_side(disk, self._here)
            if here is None:
                raise Refused(f"this node has no copy of disk {disk.uuid}", Code.UNKNOWN)
            pair = MirrorPair(self._here, here, self._read_side(disk, self._peer_name(disk)))
            pair.update_states()
            yield pair
            # Again, as the change may have connected the copies, or separated them.
            pair.update_states()
            for side in pair.sides:
                _write_copy(side.note, side.copy)

    @contextmanager
    def _attached(self, disk: Disk) -> Iterator[MirrorPair]:
        with self._pair(disk) as pair:
            if not pair.mine.up:
                raise Refused(f"disk {disk.uuid} is not attached; attach it first", _STATE)
            yield pair

    def _read_copy(self, disk: Disk) -> MirrorCopy | None:
        found = hardlinks.read(self._state_path(disk, self._here))
        return None if found is None else _decode(found)

    def _read_side(self, disk: Disk, node: str) -> MirrorSide | None:
        note = self._state_path(disk, node)
        found = hardlinks.read(note)
        if found is None:
            return None
        return MirrorSide(
            _decode(found), f"{self._folder}/{node}{volume_path(disk.children[0])}", note
        )

    def _state_path(self, disk: Disk, node: str) -> str:
        return f"{self._folder}/{node}/mirrors/{disk.logical_id[2]}.json"

    def _peer_name(self, disk: Disk) -> str:
        resolve_ends(disk, self._here)  # raises an error if it is not a disk of this node
        ends: Any = (disk.params or {})[ENDS]
        [peer] = [str(name) for name, _ in ends if name != self._here]
        return peer


@dataclass
class MirrorPair:
    """The two copies of a disk, as seen by the node named ``name``."""

    name: str
    here: MirrorSide
    there: MirrorSide | None

    @property
    def mine(self) -> MirrorCopy:
        return self.here.copy

    @property
    def peer(self) -> MirrorCopy | None:
        return None if self.there is None else self.there.copy

    @property
    def sides(self) -> list[MirrorSide]:
        return [self.here] if self.there is None else [self.here, self.there]

    @property
    def connected(self) -> bool:
        """Whether the copies are connected to each other."""
        mine, peer = self.mine, self.peer
        # The peer may be paired with another node by now, if this node's copy was replaced.
        if peer is None or peer.peer != self.name:
            return False
        return all(copy.up and copy.listens for copy in (mine, peer))

    def promote(self, *, both: bool) -> None:
        """Make the local copy writable.

        :raises Refused: if the peer's copy is writable, or no current data is reachable.
        """
        mine, peer = self.mine, self.peer if self.connected else None
        mine.both = mine.both or both
        if peer is not None and peer.writable and not (mine.both and peer.both):
            raise Refused("the other copy is writable; demote it first", _STATE)
        if not (mine.current or (peer is not None and peer.current)):
            raise Refused("no copy with current data is reachable", _STATE)
        mine.writable = True

    def update_states(self) -> None:
        """Apply the consequences of the copies' current state, such as a resync or a split
        brain."""
        for side in self.sides:
            if side.copy.there and not hardlinks.is_there(side.path):
                side.copy.there = side.copy.current = False  # its file was removed by hand
        if self.there is None or not self.connected:
            self._disconnect()
            return
        mine, peer = self.mine, self.there.copy
        two_primaries = mine.writable and peer.writable and not (mine.both and peer.both)
        # Both have written while disconnected, so that neither copy contains the other.
        if two_primaries or (mine.changed and peer.changed):
            mine.listens = peer.listens = False  # split brain: an administrator has to decide
            self._disconnect()
            return
        for ahead, late in ((self.here, self.there), (self.there, self.here)):
            if ahead.copy.changed:
                ahead.copy.changed = late.copy.current = False
            if ahead.copy.current and late.copy.there and not late.copy.current:
                hardlinks.join(late.path, ahead.path)
                late.copy.current = True
        if mine.current and peer.current and not hardlinks.same(self.here.path, self.there.path):
            # The writable copy wins: a guest has its file open, and would go on writing to it.
            first, second = (self.there, self.here) if peer.writable else (self.here, self.there)
            hardlinks.join(second.path, first.path)

    def _disconnect(self) -> None:
        written = [side for side in self.sides if side.copy.writable]
        for side in written:
            side.copy.changed = True
        if written and self.there and hardlinks.same(self.here.path, self.there.path):
            hardlinks.part((self.here if self.there in written else self.there).path)


_STATE = Code.STATE


def _decode(note: bytes) -> MirrorCopy:
    try:
        return msgspec.json.decode(note, type=MirrorCopy)
    except UNREADABLE as e:
        raise Failed(
            f"the state of a simulated DRBD disk is damaged: {e}", Code.ENVIRONMENT
        ) from None


def _write_copy(note: str, copy: MirrorCopy | None) -> None:
    hardlinks.write(note, None if copy is None else msgspec.json.encode(copy))
