# SPDX-License-Identifier: BSD-2-Clause
"""Handlers of the calls for snapshots of all disks of a guest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from ganeti.errors import Code, Failed, GanetiError, Refused
from ganeti.hypervisor.interfaces import IHypervisor, ILiveSnapshots, IMemorySnapshots, Running
from ganeti.model.disk import Disk
from ganeti.model.guest import Guest
from ganeti.model.instance_snapshots import SavedMemory, has_inner_snapshots
from ganeti.node.disks import Disks
from ganeti.rpc import snapshots as calls
from ganeti.storage.interfaces import INamedSnapshots


class GuestSnapshots:
    """Snapshots of guests; ``lock`` keeps other operations on a guest of a name away.

    While a guest runs, its hypervisor has its images open, and does what is to be done with them;
    of other disks, the storage makes the snapshots while the hypervisor keeps the guest from
    writing.
    """

    def __init__(
        self,
        hypervisors: Mapping[str, IHypervisor],
        disks: Disks,
        lock: Callable[[str], AbstractAsyncContextManager[None]],
    ) -> None:
        self._hypervisors = hypervisors
        self._disks = disks
        self._lock = lock

    async def create(self, call: calls.CreateGuestSnapshot) -> calls.SnapshotReport:
        guest = call.guest
        async with self._lock(guest.name):
            running = self._is_running(guest)
            if call.memory:
                saved = await self._save_memory(guest, call.name)
                return calls.SnapshotReport(running=True, memory=saved)
            if (live := self._find_live(guest)) is None:
                if _are_inner(guest):
                    await self._disks.paths(guest)  # ends what a killed node daemon has left
                await self._create_all(guest, call.name)
                return calls.SnapshotReport(running=running)
            if _are_inner(guest):
                frozen = await live.snapshot_disks(guest, call.name)
            else:
                async with live.hold_writes(guest) as frozen:
                    await self._create_all(guest, call.name)
            return calls.SnapshotReport(running=True, frozen=frozen)

    async def _save_memory(self, guest: Guest, name: str) -> SavedMemory:
        if not self._is_running(guest):
            raise Refused(
                f"instance {guest.name} does not run and has no memory; leave out --memory",
            )
        if not _are_inner(guest):
            raise Refused(
                f"instance {guest.name} has disks that are no qcow2 images, and its memory has no"
                " place in them; leave out --memory (disks can be created with format=qcow2)",
                Code.INPUT,
            )
        return await self._find_memory(guest).snapshot_memory(guest, name)

    async def check_memory(self, call: calls.CheckSavedMemory) -> str:
        return await self._find_memory(call.guest).find_memory_problem(call.guest, call.memory)

    async def load_memory(self, call: calls.LoadSavedMemory) -> None:
        async with self._lock(call.guest.name):
            try:
                memory = self._find_memory(call.guest)
                await memory.resume_from_memory(call.guest, call.name, call.memory)
            except BaseException:
                # Without its memory, it must not begin to run by itself.
                if self._is_running(call.guest):
                    await self._hypervisors[call.guest.hypervisor].stop(call.guest.name, hard=True)
                raise

    def _find_memory(self, guest: Guest) -> IMemorySnapshots:
        found = IMemorySnapshots(self._hypervisors.get(guest.hypervisor), None)
        if found is None:
            raise Refused(
                f"hypervisor {guest.hypervisor} saves no memory of guests; kvm does", Code.INPUT
            )
        return found

    async def _create_all(self, guest: Guest, name: str) -> None:
        for number, disk in enumerate(guest.disks):
            try:
                await self._require_snapshots(disk).create_snapshot(disk, name)
            except GanetiError as e:
                left = await self._remove_from(guest.disks[:number], name)
                raise Failed(
                    f"{disk.iv_name} of {guest.name}: {e}{left}", getattr(e, "code", None)
                ) from e

    async def _remove_from(self, disks: Sequence[Disk], name: str) -> str:
        """Remove a snapshot from disks; return what could not be removed, for a message."""
        problems = []
        for disk in disks:
            try:
                if (snapshots := self._disks.find_snapshots(disk)) is not None:
                    await snapshots.remove_snapshot(disk, name)
            except GanetiError as e:
                problems.append(f"; {disk.iv_name} keeps its snapshot {name}: {e}")
        return "".join(problems)

    async def revert(self, call: calls.RevertGuest) -> None:
        guest = call.guest
        async with self._lock(guest.name):
            if self._is_running(guest):
                raise Running(guest.name)
            if _are_inner(guest):
                await self._disks.paths(guest)
            for disk in guest.disks:
                if call.name not in await self._require_snapshots(disk).list_snapshots(disk):
                    raise Refused(
                        f"{disk.iv_name} of {guest.name} lacks the snapshot {call.name}, so that no"
                        " disk was changed",
                        Code.UNKNOWN,
                    )
            for number, disk in enumerate(guest.disks):
                try:
                    await self._require_snapshots(disk).revert_to_snapshot(disk, call.name)
                except GanetiError as e:
                    raise Failed(
                        f"{disk.iv_name} of {guest.name} could not be reverted, and {number} of its"
                        f" {len(guest.disks)} disks have been: {e}",
                        Code.ENVIRONMENT,
                    ) from e

    async def remove(self, call: calls.RemoveGuestSnapshot) -> None:
        guest = call.guest
        async with self._lock(guest.name):
            live = self._find_live(guest)
            if live is not None and call.unfinished:
                await live.release_guest(guest)
            if live is not None and _are_inner(guest):
                await live.remove_disk_snapshots(guest, call.name)
            elif left := await self._remove_from(guest.disks, call.name):
                raise Failed(left.removeprefix("; "), Code.ENVIRONMENT)

    async def list_names(self, call: calls.ListDiskSnapshots) -> dict[str, list[str]]:
        found = {}
        for disk in call.disks:
            try:
                found[disk.uuid] = await self._require_snapshots(disk).list_snapshots(disk)
            except GanetiError:
                continue  # the check of disks reports it
        return found

    def _require_snapshots(self, disk: Disk) -> INamedSnapshots:
        """Return what keeps the snapshots of a disk.

        :raises Refused: its driver has none, such as that of simulated volumes.
        """
        if (snapshots := self._disks.find_snapshots(disk)) is None:
            raise Refused(
                f"this node has no driver for snapshots of {disk.dev_type.value} disks", Code.INPUT
            )
        return snapshots

    def _find_live(self, guest: Guest) -> ILiveSnapshots | None:
        """Return the hypervisor if it has the images of the guest open."""
        if not self._is_running(guest):
            return None
        hypervisor: ILiveSnapshots | None = ILiveSnapshots(
            self._hypervisors[guest.hypervisor], None
        )
        return hypervisor

    def _is_running(self, guest: Guest) -> bool:
        hypervisor = self._hypervisors.get(guest.hypervisor)
        return hypervisor is not None and guest.name in hypervisor.running()


def _are_inner(guest: Guest) -> bool:
    """Return whether the snapshots are in the images, which QEMU has open while the guest runs."""
    return all(map(has_inner_snapshots, guest.disks))
