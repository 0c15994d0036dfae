# SPDX-License-Identifier: BSD-2-Clause
"""Handlers of the calls for disks, which use the driver of the disk's template."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import (
    ADOPTABLE_FOLDER,
    Disk,
    DiskFormat,
    Template,
    get_format,
    is_adoptable,
)
from ganeti.model.guest import Guest
from ganeti.node.raw_images import RawImages
from ganeti.paths import Paths
from ganeti.rpc import disks as calls
from ganeti.storage.drivers import ProviderFolders, StorageDependencies
from ganeti.storage.folders import AllowedFolders
from ganeti.storage.interfaces import (
    IChecksParameters,
    IMirror,
    INamedSnapshots,
    IOwnerRecords,
    ISharedAccess,
    ISnapshots,
    IVolumes,
    VolumeStatus,
)
from ganeti.system.interfaces import IFiles, IImages, IProcesses

MIB = 1 << 20


def make_storage_drivers(
    node: str,
    paths: Paths,
    files: IFiles,
    images: IImages,
    processes: IProcesses,
    seconds: Callable[[], float],
) -> StorageDependencies:
    """Return what the storage drivers of a node with this name and these paths need.

    ``seconds`` returns the time since the epoch.
    """
    plain = Paths()
    folders = AllowedFolders(
        files=files,
        resolve=images.resolve,
        listing=plain.file_storage_paths,
        defaults=(plain.file_storage, plain.shared_file_storage),
        root=paths.root,
    )
    return StorageDependencies(
        files=files,
        images=images,
        processes=processes,
        folders=folders,
        node=node,
        external=ProviderFolders(
            paths.provider_search_path, f"{paths.log}/extstorage", paths.attachments
        ),
        seconds=seconds,
        pretend=_read_simulation_folder(files, paths.pretend_storage),
    )


def _read_simulation_folder(files: IFiles, setting: str) -> str:
    """Return the folder of simulated storage from the file ``setting``; empty without the file."""
    if files.stat(setting) is None:
        return ""
    return files.read(setting).decode("utf-8", "replace").strip()


class Disks:
    """The disks of this node; ``drivers`` by disk template."""

    def __init__(
        self, drivers: Mapping[Template, IVolumes], images: IImages, raw_images: RawImages
    ) -> None:
        self._drivers = drivers
        self._images = images
        self._raw_images = raw_images

    async def create(self, call: calls.CreateDisk) -> None:
        driver = self._find_driver(call.disk)
        await driver.create(call.disk, owner=call.owner, primary=call.primary)

    async def validate_disk(self, call: calls.CheckDiskParameters) -> None:
        checks = IChecksParameters(self._find_driver(call.disk), None)
        if checks is not None:
            await checks.check_parameters(call.disk)

    async def record_owner(self, call: calls.SetDiskOwner) -> None:
        records = IOwnerRecords(self._find_driver(call.disk), None)
        if records is not None:
            await records.set_owner(call.disk, call.owner)

    async def remove(self, call: calls.RemoveDisk) -> None:
        await self._find_driver(call.disk).remove(call.disk)

    async def attach(self, call: calls.AttachDisk) -> str:
        driver = self._find_driver(call.disk)
        return await driver.attach(call.disk, primary=call.primary, ignore_size=call.ignore_size)

    async def detach(self, call: calls.DetachDisk) -> None:
        await self._find_driver(call.disk).detach(call.disk)

    async def grow(self, call: calls.GrowDiskCall) -> None:
        await self._find_driver(call.disk).grow(call.disk, call.amount)

    async def rename(self, call: calls.RenameDisk) -> None:
        """Rename a disk; do nothing if an interrupted job has renamed it already."""
        driver = self._find_driver(call.disk)
        before, after = await driver.describe([call.disk, call.to])
        if before is not None or after is None:
            await driver.rename(call.disk, call.to)

    async def describe(self, call: calls.DescribeDisks) -> list[calls.DiskStatus | None]:
        """Describe disks with one query per driver, however many disks there are."""
        answers: dict[str, VolumeStatus | None] = {}
        for template in {disk.dev_type for disk in call.disks}:
            disks = [disk for disk in call.disks if disk.dev_type is template]
            found = await self._find_driver(disks[0]).describe(disks)
            answers.update(zip((disk.uuid for disk in disks), found, strict=True))
        return [_to_wire(answers[disk.uuid]) for disk in call.disks]

    async def describe_devices(
        self, call: calls.DescribeDevices
    ) -> dict[str, calls.DeviceReport | None]:
        return {path: await self._describe_device(path) for path in call.paths}

    async def _describe_device(self, path: str) -> calls.DeviceReport | None:
        if not is_adoptable(path):
            raise Refused(f"{path} is not a path below {ADOPTABLE_FOLDER}", Code.INPUT)
        try:
            device = await self._images.describe_device(path)
        except OSError as e:
            raise Failed(f"{path} cannot be opened: {e.strerror or e}", Code.ENVIRONMENT) from None
        if device is None:
            return None
        return calls.DeviceReport(path=device.path, size=device.size // MIB, claimed=device.claimed)

    async def snapshot(self, call: calls.SnapshotDisk) -> Disk:
        driver = self._find_driver(call.disk)
        if not ISnapshots.providedBy(driver):
            raise Refused(
                f"{call.disk.dev_type} disks do not support snapshots; stop the instance to copy"
                " its disks",
                Code.INPUT,
            )
        return await ISnapshots(driver).snapshot(call.disk, call.name)

    async def wipe(self, call: calls.WipeDisk) -> None:
        path = await self._find_driver(call.disk).attach(call.disk, primary=True)
        if get_format(call.disk) is DiskFormat.QCOW2:
            return  # what was never written to an image reads as zeros
        await self._images.zero(path, call.offset * MIB, call.size * MIB)

    async def promote(self, call: calls.PromoteDisk) -> None:
        shared = ISharedAccess(self._find_driver(call.disk), None)
        if shared is not None:
            await shared.open_volume(call.disk, exclusive=not call.both)
            return
        await self._find_mirror(call.disk).promote(call.disk, both=call.both)

    async def demote(self, call: calls.DemoteDisk) -> None:
        await self._find_mirror(call.disk).demote(call.disk)

    async def connect(self, call: calls.ConnectDisk) -> None:
        await self._find_mirror(call.disk).connect(call.disk, both=call.both)

    async def disconnect(self, call: calls.DisconnectDisk) -> None:
        await self._find_mirror(call.disk).disconnect(call.disk)

    async def detach_mirror_children(self, call: calls.DetachMirrorChildren) -> None:
        await self._find_mirror(call.disk).detach_children(call.disk)

    async def attach_mirror_children(self, call: calls.AttachMirrorChildren) -> None:
        await self._find_mirror(call.disk).attach_children(call.disk)

    async def pause(self, call: calls.PauseResync) -> None:
        await self._find_mirror(call.disk).pause(call.disk, paused=call.paused)

    async def paths(self, guest: Guest) -> list[str]:
        """Attach the disks of a guest for writing; return their paths in order."""
        found = [await self._find_driver(disk).attach(disk, primary=True) for disk in guest.disks]
        for disk, path in zip(guest.disks, found, strict=True):
            if get_format(disk) is DiskFormat.QCOW2:
                await self._raw_images.give_image(path)
        return found

    @asynccontextmanager
    async def raw_paths(self, guest: Guest) -> AsyncIterator[Sequence[str]]:
        """Attach the disks of a guest, which must be stopped; return paths of their raw data.

        The paths are valid until the block ends.
        """
        async with AsyncExitStack() as stack:
            found = []
            for disk in guest.disks:
                path = await self._find_driver(disk).attach(disk, primary=True)
                if get_format(disk) is DiskFormat.QCOW2:
                    path = await stack.enter_async_context(self._raw_images.open_image(path))
                found.append(path)
            yield found

    async def incoming_paths(self, guest: Guest) -> list[str]:
        """Attach the disks of a guest that another node still runs; return their paths in order."""
        return [await self._attach_shared(disk) for disk in guest.disks]

    async def _attach_shared(self, disk: Disk) -> str:
        driver = self._find_driver(disk)
        shared = ISharedAccess(driver, None)
        if shared is None:
            return await driver.attach(disk, primary=True)
        path = await driver.attach(disk, primary=False)
        await shared.open_volume(disk, exclusive=False)
        return path

    def _find_driver(self, disk: Disk) -> IVolumes:
        if disk.dev_type not in self._drivers:
            raise Refused(
                f"this node has no driver for {disk.dev_type} disks; available drivers:"
                f" {', '.join(sorted(self._drivers))}",
                Code.INPUT,
            )
        return self._drivers[disk.dev_type]

    def find_snapshots(self, disk: Disk) -> INamedSnapshots | None:
        """Return what keeps the snapshots of a disk; None if its driver has none."""
        snapshots: INamedSnapshots | None = INamedSnapshots(self._find_driver(disk), None)
        return snapshots

    def _find_mirror(self, disk: Disk) -> IMirror:
        driver = self._find_driver(disk)
        if not IMirror.providedBy(driver):
            raise Refused(f"{disk.dev_type} disks are not mirrored between nodes", Code.INPUT)
        return IMirror(driver)


def _to_wire(status: VolumeStatus | None) -> calls.DiskStatus | None:
    return None if status is None else calls.DiskStatus(**asdict(status))
