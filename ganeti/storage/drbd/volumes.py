# SPDX-License-Identifier: BSD-2-Clause
"""The driver of DRBD disks, on top of the volumes of another driver."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from zope.interface import implementer

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk
from ganeti.model.mirror import MirrorEnds, resolve_ends
from ganeti.storage.drbd import drbd_commands, status_parsers
from ganeti.storage.interfaces import (
    IHasRequirements,
    IMirror,
    ISnapshots,
    IVolumes,
    LocalState,
    Volume,
    VolumeStatus,
)
from ganeti.system.interfaces import IFiles, IProcesses

TIMEOUT = 120.0
"""Timeout of a command, in seconds; commands that wait for a peer are not used."""

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}
_SECTORS_PER_MIB = 2048


class DrbdError(Refused):
    """An error of DRBD that has a known cause; ``number`` is DRBD's error number."""

    def __init__(self, message: str, code: Code, number: int) -> None:
        super().__init__(message, code)
        self.number = number


@implementer(IVolumes, IMirror, ISnapshots, IHasRequirements)
class DrbdVolumes:
    """Disks with two children, data and metadata, which are volumes of ``below``.

    A disk carries its ends (``model.mirror.add_ends``); ``here`` is the name of this node. The
    state is read from ``/proc/drbd``, which needs no process.
    """

    def __init__(self, processes: IProcesses, files: IFiles, below: IVolumes, here: str) -> None:
        self._processes = processes
        self._files = files
        self._below = below
        self._here = here

    def obstacle(self) -> str:
        if self._files.stat(status_parsers.PROC) is None:
            return f"the DRBD module is not loaded; {status_parsers.describe_loading()}"
        return self._find_helper_problem()

    async def create(self, disk: Disk, *, owner: str, primary: bool) -> None:
        # First: DRBD would accept all steps that follow, and drop the connection at the first
        # resync.
        self._require_helper()
        data, meta = _children(disk)
        minor = self._get_ends(disk).local_minor
        # A minor in use may belong to another disk, whose guest is running: never take it over.
        if minor in self._read_minors():
            raise Refused(f"{status_parsers.path(minor)} is in use on this node", Code.EXISTS)
        async with self._rollback_on_error(minor, data, meta) as made:
            for child in (data, meta):
                await self._below.create(child, owner=owner, primary=primary)
                made.append(child)
            # Also on the secondary node, which attaches the disk later: that fails without metadata
            # (119).
            await self._write_metadata(disk)
            if primary:
                await self._bring_up(disk, ignore_size=False)
                # Only one node declares its copy current; the other receives it by the initial
                # resync.
                await self._run(drbd_commands.primary(minor, force=True))

    async def remove(self, disk: Disk) -> None:
        # The device holds the volumes open, so it goes down before they can be removed.
        await self.detach(disk)
        for child in _children(disk):
            await self._below.remove(child)

    async def grow(self, disk: Disk, amount: int) -> None:
        data, _ = _children(disk)
        await self._below.grow(data, amount)
        found = self._find_minor(disk)
        # The peer's volume has grown before this one, otherwise the kernel rejects it: see
        # ``IVolumes.grow``.
        # The secondary grows its volume only; its device follows when the primary is resized.
        # A repetition finds the new size, and must not ask: while the new part is copied to the
        # peer, the kernel rejects it.
        size = disk.size + amount
        if found is not None and found.primary and (self._read_size(found.minor) or 0) < size:
            await self._run(drbd_commands.resize(found.minor, size))

    async def rename(self, disk: Disk, to: Disk) -> None:
        for child, new in zip(_children(disk), _children(to), strict=True):
            if child.logical_id != new.logical_id:
                await self._below.rename(child, new)

    async def attach(self, disk: Disk, *, primary: bool, ignore_size: bool = False) -> str:
        ends = self._get_ends(disk)
        found = self._find_minor(disk)
        if found is None or not found.listens:
            self._require_helper()
        if found is None or not found.has_local_data:
            # Each step is done only if it is missing, so that an attach that a crash interrupted is
            # completed.
            await self._bring_up(disk, ignore_size=ignore_size)
        if found is None or not found.listens:
            await self._run(
                # With one primary only: a migration allows two later, while it lasts.
                drbd_commands.connect(ends.local_minor, ends, disk.params or {}, both=False)
            )
        if primary and (found is None or not found.primary):
            await self._run(drbd_commands.primary(ends.local_minor))
        return status_parsers.path(ends.local_minor)

    async def detach(self, disk: Disk) -> None:
        if (found := self._find_minor(disk)) is not None:
            await self._run(drbd_commands.down(found.minor))
        for child in _children(disk):
            await self._below.detach(child)

    async def describe(self, disks: Sequence[Disk]) -> list[VolumeStatus | None]:
        there = self._read_minors()
        found = [there.get(self._get_ends(disk).local_minor) for disk in disks]
        # A device that is down is unknown to the kernel, but its data volume may exist all the
        # same.
        down = [disk for disk, minor in zip(disks, found, strict=True) if minor is None]
        below = await self._below.describe([_children(disk)[0] for disk in down]) if down else []
        rest = iter(below)
        return [
            minor.status(self._read_size(minor.minor)) if minor else _detached_status(next(rest))
            for minor in found
        ]

    async def volumes(self) -> list[Volume]:
        return [
            Volume(
                name=status_parsers.path(number),
                size=self._read_size(number) or 0,
                opened=minor.primary,
            )
            for number, minor in sorted(self._read_minors().items())
        ]

    async def promote(self, disk: Disk, *, both: bool = False) -> None:
        ends = self._get_ends(disk)
        # First, as the peer is primary already: the kernel rejects a second primary otherwise.
        if both:
            await self._run(drbd_commands.net_options(ends, both=True))
        await self._run(drbd_commands.primary(ends.local_minor))

    async def demote(self, disk: Disk) -> None:
        if (found := self._find_minor(disk)) is not None and found.primary:
            await self._run(drbd_commands.secondary(found.minor))

    async def disconnect(self, disk: Disk) -> None:
        found = self._find_minor(disk)
        # A standalone device has no connection, and disconnect would fail with error 162.
        if found is not None and found.listens:
            await self._run(drbd_commands.disconnect(self._get_ends(disk)))

    async def connect(self, disk: Disk, *, both: bool = False) -> None:
        ends, found = self._get_ends(disk), self._require_up(disk)
        # A second connect would fail with error 102; the options of a connection can change live.
        if found.listens:
            await self._run(drbd_commands.net_options(ends, both=both))
        else:
            self._require_helper()
            command = drbd_commands.connect(ends.local_minor, ends, disk.params or {}, both=both)
            await self._run(command)

    async def detach_children(self, disk: Disk) -> None:
        found = self._require_up(disk)
        # The last current copy would be lost: a diskless device without a peer has no data at all.
        if not found.peer_is_current:
            raise Refused(
                f"the peer of {status_parsers.path(found.minor)} has no current data, so this "
                "node's copy is needed; wait until the peer is connected and in sync",
                Code.STATE,
            )
        if found.has_local_data:
            await self._run(drbd_commands.detach(found.minor))

    async def attach_children(self, disk: Disk) -> None:
        found = self._require_up(disk)
        if not found.has_local_data:
            # New metadata declares the copy inconsistent, so that everything is resynced from the
            # peer.
            await self._write_metadata(disk)
            paths = await self._attach_below(disk)
            await self._attach_copy(disk, paths, ignore_size=False)

    async def pause(self, disk: Disk, *, paused: bool) -> None:
        found = self._require_up(disk)
        try:
            await self._run(drbd_commands.pause_sync(found.minor, paused=paused))
        except DrbdError as e:
            if e.number not in (status_parsers.PAUSED, status_parsers.NOT_PAUSED):
                raise

    async def snapshot(self, disk: Disk, name: str) -> Disk:
        return await ISnapshots(self._below).snapshot(_children(disk)[0], name)

    def _find_helper_problem(self) -> str:
        # The file exists only while the module is loaded; ``obstacle`` reports its absence.
        if self._files.stat(status_parsers.HELPER) is None:
            return ""
        helper = self._files.read(status_parsers.HELPER).decode("utf-8", "replace")
        return status_parsers.objection(helper.strip())

    def _require_helper(self) -> None:
        """Reject connecting a disk if the usermode helper would make the kernel disconnect it."""
        if objection := self._find_helper_problem():
            raise Refused(objection, Code.ENVIRONMENT)

    async def _bring_up(self, disk: Disk, *, ignore_size: bool) -> None:
        minor = self._get_ends(disk).local_minor
        paths = await self._attach_below(
            disk
        )  # first: if the volumes are missing, no device is created
        await self._run(drbd_commands.new_resource(minor))
        await self._run(drbd_commands.new_minor(minor))
        await self._attach_copy(disk, paths, ignore_size=ignore_size)

    async def _attach_below(self, disk: Disk) -> tuple[str, str]:
        data, meta = _children(disk)
        # The kernel writes to both volumes, whatever the role of this node is.
        data_path = await self._below.attach(data, primary=True)
        return data_path, await self._below.attach(meta, primary=True)

    async def _attach_copy(self, disk: Disk, paths: tuple[str, str], *, ignore_size: bool) -> None:
        minor, (_, meta) = self._get_ends(disk).local_minor, _children(disk)
        data_path, meta_path = paths
        # Without a limit, a disk whose size differs from its record can be attached, and repaired.
        size = None if ignore_size else disk.size
        # Otherwise error 165 after a power cut. The log names the areas that were being written
        # then.
        await self._run(drbd_commands.apply_activity_log(minor, meta_path, meta.size))
        await self._run(
            drbd_commands.attach(minor, data_path, meta_path, meta.size, size, disk.params or {})
        )

    async def _write_metadata(self, disk: Disk) -> None:
        _, meta = _children(disk)
        path, minor = await self._below.attach(meta, primary=True), self._get_ends(disk).local_minor
        await self._run(drbd_commands.create_metadata(minor, path, meta.size))

    @asynccontextmanager
    async def _rollback_on_error(self, minor: int, *children: Disk) -> AsyncIterator[list[Disk]]:
        """Remove what was created if an error occurs; the caller adds each created child to the
        list."""
        made: list[Disk] = []
        try:
            yield made
        # Also if the job is cancelled: the names of its volumes would stay taken.
        except BaseException:
            # A minor that was in use before is that of another disk; this one's exists after both
            # volumes.
            if len(made) == len(children) and minor in self._read_minors():
                await self._run(drbd_commands.down(minor))
            for child in reversed(made):
                await self._below.remove(child)
            raise

    async def _run(self, command: drbd_commands.Command) -> None:
        """Run a command.

        :raises DrbdError: if DRBD reports an error with a known cause.
        :raises Failed: for any other error.
        """
        ended = await self._processes.run(command, env=ENVIRONMENT, timeout=TIMEOUT)
        if ended.code == 0:
            return
        said = " ".join((ended.err + ended.out).decode("utf-8", "replace").split())
        number = status_parsers.refusal(said)
        if number is not None and number in status_parsers.KNOWN_ERRORS:
            code, advice = status_parsers.KNOWN_ERRORS[number]
            raise DrbdError(f"{said}; {advice}", code, number)
        what = " ".join(command[:2])
        raise Failed(f"{what} failed: {said or f'exit code {ended.code}'}", Code.ENVIRONMENT)

    def _read_minors(self) -> dict[int, status_parsers.DrbdMinor]:
        # Without the module, no device can exist.
        if self._files.stat(status_parsers.PROC) is None:
            return {}
        return status_parsers.minors(
            self._files.read(status_parsers.PROC).decode("utf-8", "replace")
        )

    def _find_minor(self, disk: Disk) -> status_parsers.DrbdMinor | None:
        return self._read_minors().get(self._get_ends(disk).local_minor)

    def _get_ends(self, disk: Disk) -> MirrorEnds:
        return resolve_ends(disk, self._here)

    def _require_up(self, disk: Disk) -> status_parsers.DrbdMinor:
        found = self._find_minor(disk)
        if found is None:
            path = status_parsers.path(self._get_ends(disk).local_minor)
            raise Refused(f"{path} is not attached on this node; attach the disk first", Code.STATE)
        return found

    def _read_size(self, minor: int) -> int | None:
        # The size that a guest sees: the volumes may be larger by rounding.
        path = f"/sys/block/drbd{minor}/size"
        if self._files.stat(path) is None:
            return None
        text = self._files.read(path).strip()
        return int(text) // _SECTORS_PER_MIB if text.isdigit() else None


def _children(disk: Disk) -> tuple[Disk, Disk]:
    match disk.children:
        case (data, meta):
            return data, meta
    raise Failed(f"DRBD disk {disk.uuid} has no volumes for data and metadata", Code.INTERNAL)


def _detached_status(below: VolumeStatus | None) -> VolumeStatus | None:
    """Return the status of a DRBD disk that is not up; it exists if its data volume exists."""
    if below is None:
        return None
    return VolumeStatus(path="", size=below.size, degraded=True, local=LocalState.UNKNOWN)
