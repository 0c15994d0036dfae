# SPDX-License-Identifier: BSD-2-Clause
"""Mirrored disks on one host: two copies that are connected are one file with two names.

So both see what a guest writes, and a resync takes no time. Copies that lose each other while
one is written become two files. What DRBD's kernel module would know is in one small file for
each copy, which both nodes read and write.
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
from ganeti.model.mirror import ENDS, ends_of
from ganeti.schema.documents import UNREADABLE
from ganeti.storage.interfaces import IMirror, IVolumes, LocalHost, Volume, VolumeStatus
from ganeti.storage.pretend.volumes import PretendVolumes, file_of
from ganeti.system import hardlinks


class MirrorCopy(msgspec.Struct, forbid_unknown_fields=True):
    """What is known of a node's copy.

    ``there`` is whether it has its data, ``current`` whether that is all of it; ``changed`` is
    set when it was written while nobody listened. ``listens`` is whether the peer is wanted.
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
    """A copy, the file with its data, and the file with what is known of it."""

    copy: MirrorCopy
    path: str
    note: str


@implementer(IVolumes, IMirror)
class PretendMirror:
    """The mirrored disks of the node named ``here``; ``folder`` is what the nodes share."""

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
            _keep(self._note(disk, self._here), MirrorCopy(self._peer(disk), current=primary))

    async def remove(self, disk: Disk) -> None:
        await self.detach(disk)
        with hardlinks.locked(self._folder):
            _keep(self._note(disk, self._here), None)
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
            mine.peer = self._peer(disk)
            pair.settle()
            if primary and not mine.writable:
                pair.promote(both=False)
            return pair.here.path

    async def detach(self, disk: Disk) -> None:
        if self._copy(disk) is None:
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
        if self._copy(disk) is not None:
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
            mine.peer = self._peer(disk)
            mine.listens, mine.both = True, both

    async def drop(self, disk: Disk) -> None:
        with self._attached(disk) as pair:
            if not (pair.connected and pair.peer and pair.peer.current):
                raise Refused(
                    f"the peer of disk {disk.uuid} has no current data, so this node's copy is"
                    " needed; wait for the peer to be connected and filled",
                    _STATE,
                )
            pair.mine.there = pair.mine.current = False

    async def take(self, disk: Disk) -> None:
        with self._attached(disk) as pair:
            pair.mine.there = True

    async def pause(self, disk: Disk, *, paused: bool) -> None:
        """A resync takes no time, so there is none to be held."""

    def _describe(self, disk: Disk, size: int | None) -> VolumeStatus | None:
        if self._copy(disk) is None:
            return None
        with self._pair(disk) as pair:
            mine, peer = pair.mine, pair.peer
            if not mine.up:
                return VolumeStatus(path="", size=size, degraded=True, local=LocalHost.UNKNOWN)
            whole = pair.connected and mine.current and peer is not None and peer.current
            return VolumeStatus(
                path=pair.here.path,
                minor=ends_of(disk, self._here).local_minor,
                size=size,
                degraded=not whole,
                local=LocalHost.OK if mine.current else LocalHost.FAULTY,
            )

    @contextmanager
    def _pair(self, disk: Disk) -> Iterator[MirrorPair]:
        """Both copies, as they are now; what is changed is kept, unless an error is raised."""
        with hardlinks.locked(self._folder):
            here = self._side(disk, self._here)
            if here is None:
                raise Refused(f"there is no copy of disk {disk.uuid} on this node", Code.UNKNOWN)
            pair = MirrorPair(self._here, here, self._side(disk, self._peer(disk)))
            pair.settle()
            yield pair
            pair.settle()
            for side in pair.sides:
                _keep(side.note, side.copy)

    @contextmanager
    def _attached(self, disk: Disk) -> Iterator[MirrorPair]:
        with self._pair(disk) as pair:
            if not pair.mine.up:
                raise Refused(f"disk {disk.uuid} is not attached; attach it first", _STATE)
            yield pair

    def _copy(self, disk: Disk) -> MirrorCopy | None:
        found = hardlinks.read(self._note(disk, self._here))
        return None if found is None else _decode(found)

    def _side(self, disk: Disk, node: str) -> MirrorSide | None:
        note = self._note(disk, node)
        found = hardlinks.read(note)
        if found is None:
            return None
        return MirrorSide(_decode(found), f"{self._folder}/{node}{file_of(disk.children[0])}", note)

    def _note(self, disk: Disk, node: str) -> str:
        return f"{self._folder}/{node}/mirrors/{disk.logical_id[2]}.json"

    def _peer(self, disk: Disk) -> str:
        ends_of(disk, self._here)  # says what is wrong if it is not one of this node's
        ends: Any = (disk.params or {})[ENDS]
        [peer] = [str(name) for name, _ in ends if name != self._here]
        return peer


@dataclass
class MirrorPair:
    """The two copies of a disk, as the node named ``name`` sees them."""

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
        """Whether the copies talk to each other, and not to others."""
        mine, peer = self.mine, self.peer
        if peer is None or peer.peer != self.name:
            return False
        return all(copy.up and copy.listens for copy in (mine, peer))

    def promote(self, *, both: bool) -> None:
        """Make the copy here writable.

        :raises Refused: the other one is, or there is no current data.
        """
        mine, peer = self.mine, self.peer if self.connected else None
        mine.both = mine.both or both
        if peer is not None and peer.writable and not (mine.both and peer.both):
            raise Refused("the other copy is writable; demote it first", _STATE)
        if not (mine.current or (peer is not None and peer.current)):
            raise Refused("no current copy can be reached", _STATE)
        mine.writable = True

    def settle(self) -> None:
        """Let everything happen that follows from how the copies are now."""
        for side in self.sides:
            if side.copy.there and not hardlinks.is_there(side.path):
                side.copy.there = side.copy.current = False  # somebody broke it
        if self.there is None or not self.connected:
            self._lose_each_other()
            return
        mine, peer = self.mine, self.there.copy
        two_primaries = mine.writable and peer.writable and not (mine.both and peer.both)
        if two_primaries or (mine.changed and peer.changed):
            mine.listens = peer.listens = False  # a split brain: a person has to decide
            self._lose_each_other()
            return
        for ahead, late in ((self.here, self.there), (self.there, self.here)):
            if ahead.copy.changed:
                ahead.copy.changed = late.copy.current = False
            if ahead.copy.current and late.copy.there and not late.copy.current:
                hardlinks.join(late.path, ahead.path)
                late.copy.current = True
        if mine.current and peer.current and not hardlinks.same(self.here.path, self.there.path):
            first, second = (self.there, self.here) if peer.writable else (self.here, self.there)
            hardlinks.join(second.path, first.path)

    def _lose_each_other(self) -> None:
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
        raise Failed(f"the note about a mirrored disk is broken: {e}", Code.ENVIRONMENT) from None


def _keep(note: str, copy: MirrorCopy | None) -> None:
    hardlinks.write(note, None if copy is None else msgspec.json.encode(copy))
