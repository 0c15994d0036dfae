# SPDX-License-Identifier: BSD-2-Clause
"""Shows the disks of a running guest as they were at one moment, by QEMU's block layer.

A filter (copy-before-write) between the guest and each disk copies what the guest overwrites to a
scratch file first; a second node (snapshot-access) reads the disk as it was when the filter was
inserted, and is exported by NBD at a Unix socket. If the scratch file cannot be written, the export
breaks, and the guest goes on.

A dirty bitmap on each disk has the areas that the guest has written since a backup, whose ID is in
its name. Another one begins with each backup; which of the two stays is known when that has ended.
Everything has names that follow from the disks, so that what an ended daemon has left is found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ganeti.errors import Code, Failed, Refused
from ganeti.hypervisor.interfaces import (
    AttachedDisk,
    LiveDisk,
    LivePoint,
    NotRunning,
)
from ganeti.hypervisor.kvm.devices import device_id
from ganeti.hypervisor.kvm.guest_agent import (
    FREEZE_TIMEOUT,
    AgentFailed,
    GuestAgent,
    connect_agent,
)
from ganeti.hypervisor.kvm.guest_registry import GuestPhase, GuestRecord, GuestRegistry
from ganeti.hypervisor.kvm.monitor import CommandFailed, Monitor
from ganeti.hypervisor.kvm.qemu_files import QemuFiles
from ganeti.hypervisor.kvm.qemu_processes import QemuProcesses, read_parameters
from ganeti.model.guest import Guest
from ganeti.system.interfaces import FileAccess, IFiles, IImages

CBW_TIMEOUT = 45
"""Seconds that a write of the guest may wait for its scratch file; then the export breaks."""

MIN_VERSION = (7, 1)
"""The first version of QEMU whose filter does not fail the writes of the guest."""

_BITMAPS = "ganeti-"
_PAUSED, _FROZEN = "paused", "frozen"
_NODE = ".node"
_GUEST = "guest-"


@dataclass(frozen=True)
class _Drive:
    """A disk of a running guest: the node that its filter is, or would be, above.

    ``path`` is the path of its device in QEMU's object model. ``bitmaps`` are those of backups, and
    whether they record changes.
    """

    uuid: str
    path: str
    node: str
    filtered: bool
    size: int
    bitmaps: Mapping[str, bool]

    def node_name(self, kind: str) -> str:
        return device_id(kind, self.uuid)


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
        clock: IReactorTime,
        scratch: str,
    ) -> None:
        self._guests = guests
        self._qemus = qemus
        self._files = files
        self._images = images
        self._qemu_files = qemu_files
        self._clock = clock
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
        new, old = _bitmap(repository, backup), _bitmap(repository, parent) if parent else ""
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
        self, qemu: Monitor, runtime: GuestRecord, drives: Sequence[_Drive], bitmap: str
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
        self, qemu: Monitor, runtime: GuestRecord, drives: Sequence[_Drive]
    ) -> bool:
        """Insert all filters at the same moment; return whether file systems were frozen then."""
        name = runtime.name
        if runtime.config is None or not read_parameters(runtime.config.hvparams).use_guest_agent:
            await self._insert_at_once(qemu, name, drives)
            return False
        try:
            async with connect_agent(self._qemus.find_agent(name), self._clock) as agent:
                return await self._insert_frozen(qemu, name, drives, agent)
        except AgentFailed as e:
            self._log.info(
                "file systems of guest {name} are not frozen: {why}", name=name, why=str(e)
            )
        await self._insert_at_once(qemu, name, drives)
        return False

    async def _insert_frozen(
        self, qemu: Monitor, name: str, drives: Sequence[_Drive], agent: GuestAgent
    ) -> bool:
        """Insert the filters while the file systems are frozen, or else if they cannot be."""
        # Found by another daemon, should this one end before they are thawed.
        await self._files.replace(self._marker(name, _FROZEN), b"", mode=0o600)
        try:
            try:
                frozen = bool(await agent.call("guest-fsfreeze-freeze", FREEZE_TIMEOUT))
            except AgentFailed as e:
                self._log.info(
                    "file systems of guest {name} are not frozen: {why}", name=name, why=str(e)
                )
                frozen = False
            await self._insert_at_once(qemu, name, drives)
        finally:
            await self._thaw(name, agent)
        return frozen

    async def _thaw(self, name: str, agent: GuestAgent) -> None:
        """Thaw the file systems of a guest; also after a freeze that was not answered."""
        try:
            await agent.call("guest-fsfreeze-thaw", FREEZE_TIMEOUT)
        except AgentFailed as e:
            self._log.error(
                "file systems of guest {name} may still be frozen: {why}", name=name, why=str(e)
            )
            return
        await self._files.remove(self._marker(name, _FROZEN))

    async def _insert_at_once(self, qemu: Monitor, name: str, drives: Sequence[_Drive]) -> None:
        if len(drives) == 1:
            await _set_drive(qemu, drives[0], drives[0].node_name("cbw"))
            return
        status = await qemu.execute("query-status")
        if status["running"]:
            # Found by another daemon, should this one end before the guest goes on.
            await self._files.replace(self._marker(name, _PAUSED), b"", mode=0o600)
            await qemu.execute("stop")
        try:
            for drive in drives:
                await _set_drive(qemu, drive, drive.node_name("cbw"))
        finally:
            if status["running"]:
                await self._resume(qemu, name)

    async def _resume(self, qemu: Monitor, name: str) -> None:
        await qemu.execute("cont")
        await self._files.remove(self._marker(name, _PAUSED))

    async def _export(
        self, qemu: Monitor, runtime: GuestRecord, drives: Sequence[_Drive], bitmap: str
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
        new = _bitmap(repository, backup)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            if complete:
                await self._take_down(qemu, runtime)
                for drive in await self._list_drives(qemu, runtime.name):
                    if new in drive.bitmaps:
                        for each in drive.bitmaps:
                            if each != new and each.startswith(_prefix(new)):
                                await _remove_bitmap(qemu, drive.node, each)
            else:
                await self._end(qemu, runtime, new)

    async def end_leftovers(self) -> None:
        """End all exports, which an earlier daemon has left."""
        for folder in self._files.names(self._scratch):
            name = unquote(folder.removeprefix(_GUEST))
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
        """Take down an export whose backup is not complete; ``new`` is its bitmap, if known.

        The changes in the bitmap of such a backup are added to the one before it, which records
        again.
        """
        await self._take_down(qemu, runtime)
        for drive in await self._list_drives(qemu, runtime.name):
            for old in [name for name, records in drive.bitmaps.items() if not records]:
                later = [
                    name
                    for name, records in drive.bitmaps.items()
                    if records and name.startswith(_prefix(old))
                ]
                actions = [
                    _action("block-dirty-bitmap-merge", node=drive.node, target=old, bitmaps=later),
                    _action("block-dirty-bitmap-enable", node=drive.node, name=old),
                ]
                # At once: a write between two steps would be in neither.
                await qemu.execute("transaction", actions=actions)
                for name in later:
                    await _remove_bitmap(qemu, drive.node, name)
            others = [
                name
                for name in drive.bitmaps
                if name != new and name.startswith(_prefix(new or "-"))
            ]
            if new in drive.bitmaps and not any(not drive.bitmaps[each] for each in others):
                await _remove_bitmap(qemu, drive.node, new)

    async def _take_down(self, qemu: Monitor, runtime: GuestRecord) -> None:
        """Remove the exports and filters of a guest, and its scratch files."""
        if self._files.stat(self._marker(runtime.name, _PAUSED)) is not None:
            await self._resume(qemu, runtime.name)
        if self._files.stat(self._marker(runtime.name, _FROZEN)) is not None:
            with suppress(AgentFailed):
                async with connect_agent(
                    self._qemus.find_agent(runtime.name), self._clock
                ) as agent:
                    await self._thaw(runtime.name, agent)
        with suppress(CommandFailed):  # it does not run
            # Ends its exports as well.
            await qemu.execute("nbd-server-stop")
        nodes = await _node_names(qemu)
        for drive in await self._list_drives(qemu, runtime.name):
            if drive.node_name("pit") in nodes:
                await qemu.execute("blockdev-del", node_name=drive.node_name("pit"))
            if drive.filtered:
                await _set_drive(qemu, drive, drive.node)
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

    async def _list_drives(self, qemu: Monitor, name: str) -> list[_Drive]:
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

        return list(_parse_drives(await qemu.execute("query-block"), nodes, read_node))

    async def _find_drives(self, qemu: Monitor, uuids: Sequence[str], name: str) -> list[_Drive]:
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
        """Return the folder for the scratch files of a guest; no name leads out of ``scratch``."""
        return f"{self._scratch}/{_GUEST}{quote(name, safe='')}"

    def _scratch_path(self, name: str, drive: _Drive) -> str:
        return f"{self._folder(name)}/{drive.node_name('disk')}"

    def _marker(self, name: str, kind: str) -> str:
        """Return the path of a file that says in which state a guest is."""
        return f"{self._folder(name)}/{kind}"

    def _socket(self, name: str) -> str:
        return f"{self._guests.runtime_paths(name).qmp.removesuffix('.qmp')}.nbd"


def _bitmap(repository: str, backup: str) -> str:
    """Return the name of the bitmap of changes since a backup."""
    digest = hashlib.sha256(repository.encode()).hexdigest()[:12]
    return f"{_BITMAPS}{digest}:{backup}"


def _prefix(bitmap: str) -> str:
    """Return what the names of the bitmaps of one repository begin with."""
    return bitmap.partition(":")[0] + ":"


def _action(kind: str, **data: object) -> dict[str, object]:
    return {"type": kind, "data": data}


async def _require_version(qemu: Monitor, name: str) -> None:
    version = (await qemu.execute("query-version"))["qemu"]
    if (version["major"], version["minor"]) < MIN_VERSION:
        needed = ".".join(map(str, MIN_VERSION))
        raise Refused(
            f"instance {name} runs in QEMU {version['major']}.{version['minor']}; a backup while it"
            f" runs needs QEMU {needed}: install it and restart the instance, or shut it down for"
            " the backup"
        )


def disk_key(uuid: str) -> str:
    """Return the digits of a disk's UUID that are in the names of its device."""
    return device_id("", uuid).removeprefix("-")


def _parse_drives(
    blocks: Sequence[Mapping[str, Any]],
    nodes: Mapping[str, Mapping[str, Any]],
    read_node: Callable[[str], str],
) -> Iterator[_Drive]:
    """Yield the disks in the answers of QEMU; ``read_node`` returns the node below a filter."""
    for block in blocks:
        device = block.get("qdev", "")
        begin = device.find("disk-")
        if begin < 0 or "inserted" not in block:
            continue
        key = device[begin:].partition("/")[0].removeprefix("disk-")
        node = block["inserted"]["node-name"]
        filtered = node == device_id("cbw", key)
        if filtered:
            node = read_node(key)
        if node not in nodes:
            raise Failed(f"QEMU has no block node {node}", Code.ENVIRONMENT)
        yield _Drive(
            uuid=key,
            path=device if device.startswith("/") else f"/machine/peripheral/{device}",
            node=node,
            filtered=filtered,
            size=nodes[node]["image"]["virtual-size"],
            bitmaps={
                each["name"]: bool(each["recording"])
                for each in nodes[node].get("dirty-bitmaps", [])
                if str(each.get("name", "")).startswith(_BITMAPS)
            },
        )


async def _set_drive(qemu: Monitor, drive: _Drive, node: str) -> None:
    """Let the guest's device use another node."""
    await qemu.execute("qom-set", path=drive.path, property="drive", value=node)


async def _remove_bitmap(qemu: Monitor, node: str, name: str) -> None:
    await qemu.execute("block-dirty-bitmap-remove", node=node, name=name)


async def _node_names(qemu: Monitor) -> set[str]:
    return {each["node-name"] for each in await qemu.execute("query-named-block-nodes")}
