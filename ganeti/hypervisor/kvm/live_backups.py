# SPDX-License-Identifier: BSD-2-Clause
"""Shows the disks of a running guest as they were at one moment, by QEMU's block layer.

A filter (copy-before-write) between the guest and each disk copies what the guest overwrites to a
scratch file first; a second node (snapshot-access) reads the disk as it was when the filter was
inserted, and is exported by NBD at a Unix socket. If the scratch file cannot be written, the export
breaks, and the guest goes on.

A dirty bitmap on each disk (``backup_drives``) has what the guest has written since a backup.
Everything has names that follow from the disks, so that what an ended daemon has left is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from twisted.logger import Logger

from ganeti.errors import Code, Failed, Refused
from ganeti.hypervisor.interfaces import (
    AttachedDisk,
    LiveDisk,
    LivePoint,
    NotRunning,
)
from ganeti.hypervisor.kvm.backup_drives import (
    Drive,
    bitmap_name,
    disk_key,
    forget_others,
    keep_changes,
    parse_drives,
    set_drive,
)
from ganeti.hypervisor.kvm.devices import device_id
from ganeti.hypervisor.kvm.guest_registry import GuestPhase, GuestRecord, GuestRegistry
from ganeti.hypervisor.kvm.monitor import CommandFailed, Monitor
from ganeti.hypervisor.kvm.qemu_files import QemuFiles
from ganeti.hypervisor.kvm.qemu_processes import QemuProcesses
from ganeti.hypervisor.kvm.quiescence import GuestQuiescence, read_folder
from ganeti.model.guest import Guest
from ganeti.system.interfaces import FileAccess, IFiles, IImages

CBW_TIMEOUT = 45
"""Seconds that a write of the guest may wait for its scratch file; then the export breaks."""

MIN_VERSION = (7, 1)
"""The first version of QEMU whose filter does not fail the writes of the guest."""

_NODE = ".node"


class LiveBackups:
    """The exports of guests; what guests overwrite is kept in files below ``scratch``."""

    _log = Logger()

    def __init__(
        self,
        guests: GuestRegistry,
        qemus: QemuProcesses,
        files: IFiles,
        images: IImages,
        qemu_files: QemuFiles,
        quiescence: GuestQuiescence,
        scratch: str,
    ) -> None:
        self._guests = guests
        self._qemus = qemus
        self._files = files
        self._images = images
        self._qemu_files = qemu_files
        self._quiescence = quiescence
        self._scratch = scratch

    async def show_disks(
        self,
        guest: Guest,
        disks: Sequence[AttachedDisk],
        repository: str,
        backup: str,
        parent: str,
    ) -> LivePoint:
        """Export the disks of a guest as they are now; see ``ILiveBackups``."""
        runtime = self._require_known(guest.name)
        socket = self._socket(guest.name)
        new = bitmap_name(repository, backup)
        old = bitmap_name(repository, parent) if parent else ""
        async with self._qemus.connect_monitor(guest.name) as qemu:
            await _require_version(qemu, guest.name)
            # What an interrupted backup has left.
            await self._end(qemu, runtime)
            drives = await self._find_drives(qemu, [each.disk.uuid for each in disks], guest.name)
            known = bool(old) and all(old in each.bitmaps for each in drives)
            try:
                await self._prepare(qemu, runtime, drives, new)
                frozen = await self._insert_filters(qemu, runtime, drives)
                if known:
                    for drive in drives:
                        await qemu.execute("block-dirty-bitmap-disable", node=drive.node, name=old)
                await self._export(qemu, runtime, drives, old if known else "")
            except BaseException:
                await self._end(qemu, runtime, new)
                raise
        full = ""
        if parent and not known:
            full = (
                f"the guest does not know what has changed since backup {parent}, as it was"
                " started again or migrated since then, or got other disks"
            )
        return LivePoint(
            socket=socket,
            disks=tuple(
                LiveDisk(name=drive.node_name("disk"), bitmap=old if known else "")
                for drive in drives
            ),
            full=full,
            frozen=frozen,
        )

    async def _prepare(
        self, qemu: Monitor, runtime: GuestRecord, drives: Sequence[Drive], bitmap: str
    ) -> None:
        """Add the filters, which nothing uses yet, and begin to record changes."""
        name = runtime.name
        # Data of the guest will be there.
        await self._files.make_folder(self._folder(name), mode=0o700)
        for drive in drives:
            path = self._scratch_path(name, drive)
            try:
                await self._images.create(path, drive.size)
            except OSError as e:
                raise Failed(f"{path} cannot be created: {e}", Code.ENVIRONMENT) from None
            # What the filter is above, as QEMU does not tell.
            await self._files.replace(path + _NODE, drive.node.encode(), mode=0o600)
            given = path
            if runtime.user:
                given = await self._qemu_files.pass_file(qemu, path, FileAccess.READ_WRITE)
            await qemu.execute(
                "blockdev-add",
                driver="file",
                node_name=drive.node_name("scr"),
                filename=given,
                discard="unmap",
            )
            await qemu.execute(
                "blockdev-add",
                driver="copy-before-write",
                node_name=drive.node_name("cbw"),
                file=drive.node,
                target=drive.node_name("scr"),
                on_cbw_error="break-snapshot",
                cbw_timeout=CBW_TIMEOUT,
            )
            # It may record more than what follows the moment, but never less.
            await qemu.execute("block-dirty-bitmap-add", node=drive.node, name=bitmap)

    async def _insert_filters(
        self, qemu: Monitor, runtime: GuestRecord, drives: Sequence[Drive]
    ) -> bool:
        """Insert all filters at the same moment; return whether file systems were frozen then."""
        name = runtime.name
        async with self._quiescence.freeze_guest(runtime) as frozen:
            # One is inserted at once; several need a guest that does not write meanwhile.
            stopped = len(drives) > 1 and await self._quiescence.stop_guest(qemu, name)
            try:
                for drive in drives:
                    await set_drive(qemu, drive, drive.node_name("cbw"))
            finally:
                if stopped:
                    await self._quiescence.continue_guest(qemu, name)
        return frozen

    async def _export(
        self, qemu: Monitor, runtime: GuestRecord, drives: Sequence[Drive], bitmap: str
    ) -> None:
        socket = self._socket(runtime.name)
        address: dict[str, Any] = {"type": "unix", "data": {"path": socket}}
        if runtime.user:
            name = await self._qemu_files.pass_listener(qemu, socket)
            address = {"type": "fd", "data": {"str": name}}
        await qemu.execute("nbd-server-start", addr=address)
        for drive in drives:
            await qemu.execute(
                "blockdev-add",
                driver="snapshot-access",
                node_name=drive.node_name("pit"),
                file=drive.node_name("cbw"),
            )
            await qemu.execute(
                "block-export-add",
                type="nbd",
                id=drive.node_name("exp"),
                node_name=drive.node_name("pit"),
                name=drive.node_name("disk"),
                bitmaps=[{"node": drive.node, "name": bitmap}] if bitmap else [],
            )

    async def hide_disks(
        self, guest: Guest, repository: str, backup: str, *, complete: bool
    ) -> None:
        """End the export of a guest; see ``ILiveBackups``."""
        try:
            runtime = self._guests.alive(guest.name, GuestPhase.HERE)
        except NotRunning:
            await self._remove_scratch(guest.name)
            return
        new = bitmap_name(repository, backup)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            if complete:
                await self._take_down(qemu, runtime)
                for drive in await self._list_drives(qemu, runtime.name):
                    await forget_others(qemu, drive, new)
            else:
                await self._end(qemu, runtime, new)

    async def end_leftovers(self) -> None:
        """End all exports, which an earlier daemon has left."""
        for folder in self._files.names(self._scratch):
            name = read_folder(folder)
            runtime = self._guests.get(name)
            if runtime is None or self._guests.process_info(runtime) is None:
                await self._remove_scratch(name)
            elif runtime.place is GuestPhase.HERE:
                try:
                    async with self._qemus.connect_monitor(name) as qemu:
                        await self._end(qemu, runtime)
                except Failed as e:
                    # The next backup of the guest tries again.
                    self._log.error(
                        "the backup of guest {name} cannot be ended: {why}", name=name, why=str(e)
                    )

    async def _end(self, qemu: Monitor, runtime: GuestRecord, new: str = "") -> None:
        """Take down an export whose backup is not complete; ``new`` is its bitmap, if known."""
        await self._take_down(qemu, runtime)
        for drive in await self._list_drives(qemu, runtime.name):
            await keep_changes(qemu, drive, new)

    async def _take_down(self, qemu: Monitor, runtime: GuestRecord) -> None:
        """Remove the exports and filters of a guest, and its scratch files."""
        await self._quiescence.release_guest(qemu, runtime)
        with suppress(CommandFailed):  # it does not run
            # Ends its exports as well.
            await qemu.execute("nbd-server-stop")
        nodes = await _node_names(qemu)
        for drive in await self._list_drives(qemu, runtime.name):
            if drive.node_name("pit") in nodes:
                await qemu.execute("blockdev-del", node_name=drive.node_name("pit"))
            if drive.filtered:
                await set_drive(qemu, drive, drive.node)
            for kind in ("cbw", "scr"):
                if drive.node_name(kind) in nodes:
                    await qemu.execute("blockdev-del", node_name=drive.node_name(kind))
        await self._remove_scratch(runtime.name)

    async def _remove_scratch(self, name: str) -> None:
        folder = self._folder(name)
        for path in await self._images.below(folder):
            await self._images.remove(path, within=self._scratch)
        await self._files.remove_folder(folder)
        socket = self._socket(name)
        if self._files.stat(socket) is not None:
            await self._files.remove(socket)

    async def _list_drives(self, qemu: Monitor, name: str) -> list[Drive]:
        """Return the disks of a guest, with the nodes below the filters that are inserted."""
        found = await qemu.execute("query-named-block-nodes")
        nodes = {each["node-name"]: each for each in found}

        def read_node(key: str) -> str:
            path = f"{self._folder(name)}/{device_id('disk', key)}{_NODE}"
            try:
                return self._files.read(path).decode()
            except FileNotFoundError:
                raise Failed(
                    f"{path} is missing, so that the backup of instance {name} cannot be ended;"
                    f" stop the instance and start it again",
                    Code.ENVIRONMENT,
                ) from None

        return list(parse_drives(await qemu.execute("query-block"), nodes, read_node))

    async def _find_drives(self, qemu: Monitor, uuids: Sequence[str], name: str) -> list[Drive]:
        """Return the drives of these disks.

        :raises Refused: the guest does not have one of them.
        """
        found = {each.uuid: each for each in await self._list_drives(qemu, name)}
        keys = [disk_key(uuid) for uuid in uuids]
        if any(key not in found for key in keys):
            raise Refused(
                f"instance {name} runs with other disks than it has in the configuration; restart"
                f" it: gnt-instance reboot {name}"
            )
        return [found[key] for key in keys]

    def _require_known(self, name: str) -> GuestRecord:
        runtime = self._guests.alive(name, GuestPhase.HERE)
        if runtime.of_ganeti or runtime.config is None:
            raise Refused(
                f"instance {name} was started by other or older software; to back it up while it"
                f" runs, restart it once: gnt-instance reboot {name}"
            )
        return runtime

    def _folder(self, name: str) -> str:
        return self._quiescence.folder(name)

    def _scratch_path(self, name: str, drive: Drive) -> str:
        return f"{self._folder(name)}/{drive.node_name('disk')}"

    def _socket(self, name: str) -> str:
        return f"{self._guests.runtime_paths(name).qmp.removesuffix('.qmp')}.nbd"


async def _require_version(qemu: Monitor, name: str) -> None:
    version = (await qemu.execute("query-version"))["qemu"]
    if (version["major"], version["minor"]) < MIN_VERSION:
        needed = ".".join(map(str, MIN_VERSION))
        raise Refused(
            f"instance {name} runs in QEMU {version['major']}.{version['minor']}; a backup while it"
            f" runs needs QEMU {needed}: install it and restart the instance, or shut it down for"
            " the backup"
        )


async def _node_names(qemu: Monitor) -> set[str]:
    return {each["node-name"] for each in await qemu.execute("query-named-block-nodes")}
