# SPDX-License-Identifier: BSD-2-Clause
"""Disks as sparse raw files in allowed directories, local or shared by all nodes."""

from __future__ import annotations

import errno
import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from zope.interface import implementer

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk
from ganeti.storage.folders import AllowedFolders, ResolvedPath
from ganeti.storage.interfaces import (
    IStorageUnits,
    IVolumes,
    LocalState,
    StorageUnit,
    Volume,
    VolumeStatus,
)
from ganeti.storage.loss import lost
from ganeti.system.interfaces import IImages

MIB = 1 << 20
_UNIQUE_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.")
"""The begin of names of files that are made for one disk."""
# EFBIG: the file system may have space, but not for a file of this size.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@implementer(IVolumes)
class FileVolumes:
    """Disks whose ``logical_id`` is ``[driver, path]``; a file is always attached.

    The path is relative to the node's root directory; ``attach`` returns the real path.
    """

    def __init__(self, images: IImages, folders: AllowedFolders) -> None:
        self._images = images
        self._folders = folders

    async def create(self, disk: Disk, *, owner: str, primary: bool) -> None:
        path = self._resolve(disk).path
        with _translate_errors(f"{disk.iv_name} cannot be created at {path}"):
            await self._images.create(path, disk.size * MIB)

    async def remove(self, disk: Disk) -> None:
        place = self._resolve(disk)
        with _translate_errors(f"{place.path} cannot be removed"):
            await self._images.remove(place.path, within=place.folder)

    async def grow(self, disk: Disk, amount: int) -> None:
        path = self._require_file(disk)
        with _translate_errors(f"{path} cannot be grown"):
            await self._images.resize(path, (disk.size + amount) * MIB)

    async def rename(self, disk: Disk, to: Disk) -> None:
        path, new = await self._find_file(disk), self._resolve(to).path
        with _translate_errors(f"{path} cannot be renamed to {new}"):
            await self._images.rename(path, new)

    async def attach(self, disk: Disk, *, primary: bool, ignore_size: bool = False) -> str:
        return self._require_file(disk)

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
        return None if size is None else VolumeStatus(path=path, size=size // MIB)

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
