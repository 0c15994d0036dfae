# SPDX-License-Identifier: BSD-2-Clause
"""The driver of disks on external storage, whose work is done by the scripts of a provider."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn

from twisted.internet.defer import DeferredLock
from zope.interface import implementer

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk
from ganeti.schema.records import replace
from ganeti.storage.ext.attachments import (
    MAX_OUTPUT,
    Attachment,
    AttachmentRecords,
    parse_attachment,
)
from ganeti.storage.ext.provider_scripts import ProviderScripts, provider_parameters
from ganeti.storage.ext.providers import Provider, Providers
from ganeti.storage.interfaces import (
    IChecksParameters,
    IOwnerRecords,
    ISharedAccess,
    ISnapshots,
    IVolumes,
    LocalState,
    Volume,
    VolumeStatus,
)
from ganeti.system.interfaces import IFiles, IImages

MIB = 1 << 20
# It is a part of the names of files.
_VOLUME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.:+-]{0,200}")


@implementer(IVolumes, ISnapshots, ISharedAccess, IOwnerRecords, IChecksParameters)
class ExtVolumes:
    """Disks whose ``logical_id`` is ``[provider, volume]``; a volume never changes its name.

    One script at a time runs for a volume. A script that fails does not say why, so that the
    failures here are ``Failed``, with its output, where other storage refuses.
    """

    def __init__(
        self,
        providers: Providers,
        scripts: ProviderScripts,
        records: AttachmentRecords,
        files: IFiles,
        images: IImages,
    ) -> None:
        self._providers = providers
        self._scripts = scripts
        self._records = records
        self._files = files
        self._images = images
        self._locks: dict[str, DeferredLock] = {}

    async def check_parameters(self, disk: Disk) -> None:
        provider = self._find_provider(disk)
        known = {name.upper() for name, _ in provider.parameters}
        unknown = [name for name in provider_parameters(disk) if name.upper() not in known]
        if unknown:
            names = ", ".join(name for name, _ in provider.parameters)
            raise Refused(
                f"{disk.iv_name}: {', '.join(unknown)} is not a parameter of external storage"
                f" provider {provider.name}, which has {names or 'no parameters'}",
                Code.INPUT,
            )
        try:
            await self._scripts.run_provider_script(provider, "verify", disk, None, "parameters")
        except Failed as e:
            raise Refused(f"the parameters of {disk.iv_name} are rejected: {e}", Code.INPUT) from e

    async def create(self, disk: Disk, *, owner: str, primary: bool) -> None:
        provider = self._find_provider(disk)
        async with self._lock_volume(disk):
            await self._scripts.run_provider_script(
                provider, "create", disk, {"VOL_SIZE": str(disk.size)}
            )
            await self._set_owner(provider, disk, owner)

    async def remove(self, disk: Disk) -> None:
        provider, volume = self._find_provider(disk), _volume_of(disk)
        async with self._lock_volume(disk):
            if self._records.read_record(volume) is not None:
                await self._detach(provider, disk)
            await self._scripts.run_provider_script(provider, "remove", disk)

    async def grow(self, disk: Disk, amount: int) -> None:
        provider, wanted = self._find_provider(disk), disk.size + amount
        async with self._lock_volume(disk):
            sizes = {"VOL_SIZE": str(disk.size), "VOL_NEW_SIZE": str(wanted)}
            await self._scripts.run_provider_script(provider, "grow", disk, sizes)

    async def rename(self, disk: Disk, to: Disk) -> None:
        raise Refused(
            f"{disk.iv_name} keeps its volume {disk.logical_id[1]}: providers of external storage"
            " have no script that renames",
            Code.INPUT,
        )

    async def set_owner(self, disk: Disk, owner: str) -> None:
        provider = self._find_provider(disk)
        async with self._lock_volume(disk):
            await self._set_owner(provider, disk, owner)

    async def attach(self, disk: Disk, *, primary: bool, ignore_size: bool = False) -> str:
        provider = self._find_provider(disk)
        async with self._lock_volume(disk):
            found = await self._attach(provider, disk)
            if primary:
                await self._open(provider, disk, exclusive=True)
            return found.path

    async def detach(self, disk: Disk) -> None:
        provider = self._find_provider(disk)
        async with self._lock_volume(disk):
            await self._detach(provider, disk)

    async def open_volume(self, disk: Disk, *, exclusive: bool) -> None:
        provider = self._find_provider(disk)
        async with self._lock_volume(disk):
            await self._open(provider, disk, exclusive=exclusive)

    async def describe(self, disks: Sequence[Disk]) -> list[VolumeStatus | None]:
        return [await self._describe(disk) for disk in disks]

    async def volumes(self) -> list[Volume]:
        # No script lists the volumes, and other clusters may use the same storage.
        return []

    async def snapshot(self, disk: Disk, name: str) -> Disk:
        provider = self._find_provider(disk)
        if "snapshot" not in provider.scripts:
            raise Refused(
                f"external storage provider {provider.name} has no script for snapshots; stop the"
                " instance to copy its disks",
                Code.INPUT,
            )
        # The protocol fixes the name, by which providers recognize what is a snapshot.
        taken = replace(disk, logical_id=(provider.name, f"{_volume_of(disk)}.snap"))
        _volume_of(taken)
        async with self._lock_volume(disk):
            sizes = {
                "VOL_SNAPSHOT_NAME": _volume_of(taken),
                "VOL_SNAPSHOT_SIZE": str(disk.size),
            }
            await self._scripts.run_provider_script(provider, "snapshot", disk, sizes)
        return taken

    async def _set_owner(self, provider: Provider, disk: Disk, owner: str) -> None:
        metadata = {"VOL_METADATA": f"originstname+{owner}"}
        await self._scripts.run_provider_script(provider, "setinfo", disk, metadata)

    async def _attach(self, provider: Provider, disk: Disk) -> Attachment:
        volume = _volume_of(disk)
        await self._records.prepare_folder()
        # A file, as the other output goes to the log, also that of a script that is killed.
        answer = f"{self._records.record_path(volume)}.out"
        try:
            await self._scripts.run_provider_script(provider, "attach", disk, stdout=answer)
            found = self._read_answer(provider, disk, answer)
        finally:
            await self._files.remove(answer)
        if await self._measure(found.path) is None:
            _reject_answer(provider, disk, f"{found.path}, which is no block device or file there")
        await self._records.write_record(volume, found)
        return found

    def _read_answer(self, provider: Provider, disk: Disk, path: str) -> Attachment:
        written = self._files.stat(path)
        if written is not None and written.size > MAX_OUTPUT:
            _reject_answer(provider, disk, f"{written.size} bytes instead of a path")
        try:
            found = parse_attachment(b"" if written is None else self._files.read(path))
        except ValueError as e:
            _reject_answer(provider, disk, str(e))
        if not found.path:
            _reject_answer(
                provider,
                disk,
                "no path of a device in its first line, only URIs, which need access=userspace",
            )
        return found

    async def _open(self, provider: Provider, disk: Disk, *, exclusive: bool) -> None:
        if "open" in provider.scripts:
            how = {"VOL_OPEN_EXCLUSIVE": str(exclusive)}
            await self._scripts.run_provider_script(provider, "open", disk, how)

    async def _detach(self, provider: Provider, disk: Disk) -> None:
        if "close" in provider.scripts:
            await self._scripts.run_provider_script(provider, "close", disk)
        await self._scripts.run_provider_script(provider, "detach", disk)
        await self._records.forget_attachment(_volume_of(disk))

    async def _describe(self, disk: Disk) -> VolumeStatus:
        found = self._records.read_record(_volume_of(disk))
        if found is None:
            # It is unknown whether it exists: only attaching it would show that.
            return VolumeStatus(path="", local=LocalState.UNKNOWN)
        size = await self._measure(found.path)
        if size is None:
            return VolumeStatus(path="", degraded=True, local=LocalState.FAULTY)
        return VolumeStatus(path=found.path, size=size)

    async def _measure(self, path: str) -> int | None:
        """Return the size of a device or file in MiB; None if there is none."""
        try:
            device = await self._images.describe_device(path)
        except OSError as e:
            raise Failed(f"{path} cannot be opened: {e.strerror or e}", Code.ENVIRONMENT) from None
        size = device.size if device is not None else self._images.size(path)
        return None if size is None else size // MIB

    def _find_provider(self, disk: Disk) -> Provider:
        _volume_of(disk)
        return self._providers.find_provider(str(disk.logical_id[0]))

    @asynccontextmanager
    async def _lock_volume(self, disk: Disk) -> AsyncIterator[None]:
        volume = _volume_of(disk)
        lock = self._locks.setdefault(volume, DeferredLock())
        await lock.acquire()
        try:
            yield
        finally:
            lock.release()
            if not lock.locked and self._locks.get(volume) is lock:
                del self._locks[volume]


def _volume_of(disk: Disk) -> str:
    match disk.logical_id:
        case (str(), str(volume)) if _VOLUME.fullmatch(volume):
            return volume
    raise Failed(f"{disk.logical_id!r} is not a pair of provider and volume", Code.INPUT)


def _reject_answer(provider: Provider, disk: Disk, what: str) -> NoReturn:
    raise Failed(
        f"{disk.iv_name or disk.logical_id[1]} is not usable: script attach of external storage"
        f" provider {provider.name} printed {what}",
        Code.ENVIRONMENT,
    )
