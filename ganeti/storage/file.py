# SPDX-License-Identifier: BSD-2-Clause
"""Disks as sparse files in allowed directories, local or shared by all nodes: raw, or qcow2."""

from __future__ import annotations

import errno
import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from zope.interface import implementer

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk, DiskFormat, get_format
from ganeti.model.instance_snapshots import can_have_snapshots, no_snapshots
from ganeti.storage.folders import AllowedFolders, ResolvedPath
from ganeti.storage.interfaces import (
    INamedSnapshots,
    IStorageUnits,
    IVolumes,
    LocalState,
    StorageUnit,
    Volume,
    VolumeStatus,
)
from ganeti.storage.loss import lost
from ganeti.storage.qcow2 import HEADER_SIZE, Qcow2Header, read_header
from ganeti.storage.qemu_img import QemuImg
from ganeti.system.interfaces import IImages

MIB = 1 << 20
_UNIQUE_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.")
"""The begin of names of files that are made for one disk."""
# EFBIG: the file system may have space, but not for a file of this size.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@implementer(IVolumes, INamedSnapshots)
class FileVolumes:
    """Disks whose ``logical_id`` is ``[driver, path]``; a file is always attached.

    The path is relative to the node's root directory; ``attach`` returns the real path of the
    file, whose data may be those of a qcow2 image. Such an image is only used if all data of the
    disk are in this file.
    """

    def __init__(
        self, images: IImages, folders: AllowedFolders, qemu_img: QemuImg | None = None
    ) -> None:
        """``qemu_img`` is None where all disks are raw."""
        self._images = images
        self._folders = folders
        self._qemu_img = qemu_img

    async def create(self, disk: Disk, *, owner: str, primary: bool) -> None:
        place = self._resolve(disk)
        what = f"{disk.iv_name} cannot be created at {place.path}"
        if get_format(disk) is DiskFormat.QCOW2:
            await self._create_image(disk, place, what)
            return
        with _translate_errors(what):
            await self._images.create(place.path, disk.size * MIB)

    async def _create_image(self, disk: Disk, place: ResolvedPath, what: str) -> None:
        await self._require_room(place.folder, disk.size, what)
        with _translate_errors(what):
            # qemu-img would replace a file of this name.
            await self._images.create(place.path, 0)
        try:
            await self._image_program().format_image(place.path, disk.size * MIB)
        except BaseException:
            with _translate_errors(f"{place.path} cannot be removed"):
                await self._images.remove(place.path, within=place.folder)
            raise

    async def _require_room(self, folder: str, size: int, what: str) -> None:
        """Check that a disk of ``size`` MiB could ever be full; an image takes little at first."""
        with _translate_errors(f"the space of {folder} cannot be determined"):
            space = (await self._images.space(folder)).size // MIB
        if size > space:
            raise Refused(
                f"{what}: the file system has {space} MiB, the disk would have {size} MiB",
                Code.RESOURCES,
            )

    async def remove(self, disk: Disk) -> None:
        place = self._resolve(disk)
        with _translate_errors(f"{place.path} cannot be removed"):
            await self._images.remove(place.path, within=place.folder)

    async def grow(self, disk: Disk, amount: int) -> None:
        path, size = self._require_file(disk), disk.size + amount
        if get_format(disk) is DiskFormat.QCOW2:
            # A repetition may come after the disk has grown further.
            if size * MIB > self._require_image(path).size:
                place = self._resolve(disk)
                await self._require_room(place.folder, size, f"{path} cannot be grown")
                await self._image_program().set_image_size(path, size * MIB)
            return
        with _translate_errors(f"{path} cannot be grown"):
            await self._images.resize(path, size * MIB)

    async def rename(self, disk: Disk, to: Disk) -> None:
        path, new = await self._find_file(disk), self._resolve(to).path
        with _translate_errors(f"{path} cannot be renamed to {new}"):
            await self._images.rename(path, new)

    async def attach(self, disk: Disk, *, primary: bool, ignore_size: bool = False) -> str:
        path = self._require_file(disk)
        if get_format(disk) is DiskFormat.QCOW2:
            self._require_image(path)
        return path

    async def detach(self, disk: Disk) -> None:
        """Do nothing, as a file needs no detaching."""

    async def describe(self, disks: Sequence[Disk]) -> list[VolumeStatus | None]:
        return [self._describe(disk) for disk in disks]

    async def volumes(self) -> list[Volume]:
        found: dict[str, int] = {}
        for folder in self._folders.allowed():
            # An error, not an omission: without its files, the disks of a directory would look
            # lost.
            with _translate_errors(f"{folder} cannot be read"):
                found.update(await self._images.below(self._folders.root + folder))
        return [
            Volume(name=path.removeprefix(self._folders.root), size=found[path] // MIB)
            for path in sorted(found)
        ]

    def _describe(self, disk: Disk) -> VolumeStatus | None:
        try:
            path = self._resolve(disk).path
        except Refused:  # attach() reports the reason
            return VolumeStatus(path="", degraded=True, local=LocalState.FAULTY)
        size = self._images.size(path)
        if size is None:
            return None
        if get_format(disk) is DiskFormat.RAW:
            return VolumeStatus(path=path, size=size // MIB)
        try:
            return VolumeStatus(path=path, size=self._require_image(path).size // MIB)
        except (Refused, Failed):
            return VolumeStatus(path=path, degraded=True, local=LocalState.FAULTY)

    def _resolve(self, disk: Disk) -> ResolvedPath:
        return self._folders.resolve_file(str(disk.logical_id[1]))

    async def _find_file(self, disk: Disk) -> str:
        """Return the path of the file of a disk, also where an interrupted rename has left it.

        The instance of such a disk may have to get a third name, as the second one may be taken by
        now.
        """
        place = self._resolve(disk)
        name = posixpath.basename(place.path)
        # Other names, such as disk0, may be those of other instances' disks.
        if self._images.size(place.path) is None and _UNIQUE_NAME.match(name):
            with _translate_errors(f"{place.folder} cannot be read"):
                files = await self._images.below(place.folder)
            found = [path for path in files if posixpath.basename(path) == name]
            if len(found) == 1:
                return found[0]
        return self._require_file(disk)

    def _require_file(self, disk: Disk) -> str:
        path = self._resolve(disk).path
        # Checked here, as QEMU would report a missing file much later, and without advice.
        if self._images.size(path) is None:
            raise lost(disk, f"file {path}")
        return path

    def _image_program(self) -> QemuImg:
        if self._qemu_img is None:
            raise Refused("this storage has only raw files", Code.INPUT)
        return self._qemu_img

    def _require_image(self, path: str) -> Qcow2Header:
        """Return the header of an image that can be a disk.

        :raises Refused: it cannot be, or is no image.
        """
        with _translate_errors(f"{path} cannot be read"):
            header = read_header(self._images.read_start(path, HEADER_SIZE))
        if header is None:
            raise Refused(
                f"{path} is no qcow2 image, as the configuration says; restore it from a backup, or"
                " recreate it: gnt-instance recreate-disks",
                Code.STATE,
            )
        if header.problem:
            raise Refused(f"the qcow2 image {path} {header.problem}", Code.STATE)
        return header

    # --- snapshots

    async def create_snapshot(self, disk: Disk, name: str) -> None:
        path = self._require_snapshots(disk)
        if name in await self._image_program().read_snapshot_names(path):
            raise Refused(f"{path} has a snapshot {name} already", Code.EXISTS)
        await self._image_program().save_snapshot(path, name)

    async def revert_to_snapshot(self, disk: Disk, name: str) -> None:
        path = self._require_snapshots(disk)
        if name not in await self._image_program().read_snapshot_names(path):
            raise Refused(f"{path} has no snapshot {name}", Code.UNKNOWN)
        await self._image_program().apply_snapshot(path, name)

    async def remove_snapshot(self, disk: Disk, name: str) -> None:
        if self._images.size(self._resolve(disk).path) is None:
            return  # it went with its disk
        path = self._require_snapshots(disk)
        if name in await self._image_program().read_snapshot_names(path):
            await self._image_program().delete_snapshot(path, name)

    async def list_snapshots(self, disk: Disk) -> list[str]:
        return await self._image_program().read_snapshot_names(self._require_snapshots(disk))

    def _require_snapshots(self, disk: Disk) -> str:
        if not can_have_snapshots(disk):
            raise no_snapshots(disk)
        path = self._require_file(disk)
        self._require_image(path)
        return path


@implementer(IStorageUnits)
class FileFolders:
    """The directories for file disks; those on one file system share its space."""

    def __init__(self, images: IImages, folders: AllowedFolders) -> None:
        self._images = images
        self._folders = folders

    async def units(self) -> list[StorageUnit]:
        return [await self.unit(folder) for folder in sorted(self._folders.allowed())]

    async def unit(self, name: str) -> StorageUnit:
        folder = self._folders.folder(name)
        with _translate_errors(f"the free space of {folder} cannot be determined"):
            space = await self._images.space(folder)
        size, free = space.size // MIB, space.free // MIB
        return StorageUnit(name=name, size=size, free=free, used=size - free)

    async def set_allocatable(self, name: str, allocatable: bool) -> None:
        raise Refused(
            f"disks may be created in {name} as long as it is listed in {self._folders.listing} on"
            " this node",
            Code.INPUT,
        )

    async def repair(self, name: str) -> None:
        raise Refused(f"{name} is a directory; it cannot be repaired", Code.INPUT)


@contextmanager
def _translate_errors(what: str) -> Iterator[None]:
    """Translate errors of the operating system into refusals and failures."""
    try:
        yield
    except FileExistsError:
        raise Refused(f"{what}: a file with that name exists already", Code.EXISTS) from None
    except OSError as e:
        why = f"{what}: {e.strerror or e}"
        if e.errno in _NO_ROOM:
            raise Refused(why, Code.RESOURCES) from None
        raise Failed(why, Code.ENVIRONMENT) from None
