# SPDX-License-Identifier: BSD-2-Clause
"""A hypervisor that can be made to misbehave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence

from zope.interface import implementer

from ganeti.errors import Failed, Invalid, Problem, Refused
from ganeti.hypervisor.fake import FakeHypervisor
from ganeti.hypervisor.interfaces import (
    NO_DEVICES,
    AttachedDisk,
    ConsoleAccess,
    ConsoleSocket,
    ConsoleStream,
    GuestDevices,
    IHypervisor,
    ILiveCopies,
    IMemorySnapshots,
    MigrationPhase,
    MigrationProgress,
    NotRunning,
)
from ganeti.model.guest import Counters, Guest, GuestNic, GuestState
from ganeti.model.instance_snapshots import SavedMemory
from ganeti.model.running import RunningConfig, is_older
from ganeti.schema.records import replace
from ganeti.schema.types import Parameters
from ganeti.testing.processes import MemoryStateFiles

STEPS = ("accept", "migrate", "sending", "finish_incoming", "finish_outgoing")
"""The steps of a migration, in their order."""


_FOLLOWS = MigrationProgress(phase=MigrationPhase.COMPLETED, transferred=1 << 20, total=1 << 20)


@implementer(IHypervisor, ILiveCopies, IMemorySnapshots)
class MemoryHypervisor:
    """Guests that exist only in this object, and what was asked for in ``asked``.

    ``stubborn`` guests ignore a polite stop, lock their CD drives, keep their memory, and neither
    take nor release devices; ``hotplug_problem`` is why no guest can. ``unstartable`` ones do not
    start; ``breaks_at`` is the step of a migration that fails here. ``reaches`` says of the address
    of another host whether guests can be sent there. ``objections`` are what it has against
    parameters, by their names, ``complaint`` what it writes of a guest that is dropped; those in
    ``loses`` do not arrive. ``copies`` yields the progress of the copies of a guest's disks, those
    that are ``copied`` now; ``secrets`` are those that its migrations were started with.
    ``loses`` do not arrive. ``save_disks`` makes the snapshots of disks that belong to a snapshot
    with memory, and ``memory_problem`` is why none can be loaded; ``unloadable`` guests fail then.
    """

    def __init__(
        self,
        *,
        stubborn: Iterable[str] = (),
        unstartable: Iterable[str] = (),
        breaks_at: str | None = None,
        reaches: Callable[[str], bool] = lambda address: True,
    ) -> None:
        self._notes = MemoryStateFiles()
        self._guests = FakeHypervisor(self._notes)
        self.stubborn = set(stubborn)
        self.unstartable = set(unstartable)
        self.breaks_at = breaks_at
        self.reaches = reaches
        self.objections: dict[str, str] = {}
        self.complaint = ""
        self.hotplug_problem = ""
        self.loses: set[str] = set()
        self.program_version = "1.0"
        self.asked: list[tuple[str, str]] = []
        self.disks: dict[str, tuple[str, ...]] = {}
        self.seeds: dict[str, bytes | None] = {}
        self.secrets: dict[str, str] = {}
        self.copied: dict[str, Iterator[MigrationProgress]] = {}
        self.copies: Callable[[], Iterator[MigrationProgress]] = lambda: iter([_FOLLOWS])
        self.sockets: dict[ConsoleStream, ConsoleSocket] = {}
        self.variables: dict[str, bytes] = {}
        self.save_disks: Callable[[Guest, str], Awaitable[None]] | None = None
        self.memory_problem = ""
        self.unloadable: set[str] = set()

    async def start(
        self,
        guest: Guest,
        disks: Sequence[AttachedDisk],
        *,
        paused: bool = False,
        seed: bytes | None = None,
    ) -> None:
        self._ask("start", guest.name)
        if guest.name in self.unstartable:
            raise Failed(f"{guest.name} does not start")
        await self._guests.start(guest, disks, paused=paused, seed=seed)
        self.disks[guest.name] = tuple(disk.path for disk in disks)
        self.seeds[guest.name] = seed

    async def snapshot_memory(self, guest: Guest, name: str) -> SavedMemory:
        self._ask("save memory", guest.name)
        if self.save_disks is not None:
            await self.save_disks(guest, name)
        return SavedMemory(running=await self.running_config(guest))

    async def find_memory_problem(self, guest: Guest, saved: SavedMemory) -> str:
        return self.memory_problem

    async def resume_from_memory(self, guest: Guest, name: str, saved: SavedMemory) -> None:
        self._ask("load memory", guest.name)
        if guest.name in self.unloadable:
            raise Failed(f"{guest.name} does not load its memory")

    async def stop(self, name: str, *, hard: bool) -> None:
        self._ask("stop hard" if hard else "stop", name)
        if hard or name not in self.stubborn:
            await self._guests.stop(name, hard=hard)
        elif name not in self.running():
            raise NotRunning(name)

    def present(self) -> frozenset[str]:
        return self._guests.present()

    async def kill(self, names: Collection[str]) -> None:
        for name in sorted(names):
            self._ask("kill", name)
        await self._guests.kill(names)

    async def reboot(self, guest: Guest) -> None:
        self._ask("reboot", guest.name)
        await self._guests.reboot(guest)

    def running(self) -> Mapping[str, GuestState]:
        return self._guests.running()

    def counters(self) -> Mapping[str, Counters]:
        return self._guests.counters()

    def held(self) -> frozenset[str]:
        """Return the guests that are on their way: awaited here, or sent from here."""
        return self.present() - self.running().keys()

    async def console(self, guest: Guest) -> ConsoleAccess:
        return await self._guests.console(guest)

    async def console_sockets(self, guest: Guest) -> Mapping[ConsoleStream, ConsoleSocket]:
        await self._guests.console_sockets(guest)
        return self.sockets

    async def find_hotplug_problem(self, guest: Guest) -> str:
        await self._guests.find_hotplug_problem(guest)
        return self.hotplug_problem

    async def plug(self, guest: Guest, device: AttachedDisk | GuestNic) -> None:
        self._ask("plug", guest.name)
        self._require_hotplug()
        uuid = device.disk.uuid if isinstance(device, AttachedDisk) else device.uuid
        if guest.name in self.stubborn and uuid not in await self._list_devices(guest):
            raise Failed(f"{guest.name} does not take the device")
        await self._guests.plug(guest, device)

    async def unplug(self, guest: Guest, uuid: str) -> None:
        self._ask("unplug", guest.name)
        self._require_hotplug()
        if guest.name in self.stubborn and uuid in await self._list_devices(guest):
            raise Failed(f"{guest.name} does not release the device")
        await self._guests.unplug(guest, uuid)

    async def _list_devices(self, guest: Guest) -> set[str]:
        """Return the UUIDs of the disks and network cards that the guest has."""
        running = await self._guests.running_config(guest)
        return {each.uuid for each in running.disks} | {each.uuid for each in running.nics}

    def _require_hotplug(self) -> None:
        if self.hotplug_problem:
            raise Refused(self.hotplug_problem)

    async def change_media(self, guest: Guest, *, force: bool) -> None:
        self._ask("change media", guest.name)
        if guest.name in self.stubborn and not force:
            raise Refused(f"{guest.name} has locked its CD drive")
        await self._guests.change_media(guest, force=force)

    async def set_memory(self, guest: Guest, memory: int) -> None:
        self._ask("set memory", guest.name)
        has = (await self._guests.running_config(guest)).used_memory
        if guest.name in self.stubborn and memory != has:
            raise Failed(f"{guest.name} does not change its memory")
        await self._guests.set_memory(guest, memory)

    async def screenshot(self, guest: Guest) -> bytes:
        return await self._guests.screenshot(guest)

    async def validate(self, hvparams: Parameters, equipment: GuestDevices = NO_DEVICES) -> None:
        problems = [Problem(name, why) for name, why in self.objections.items()]
        if is_older(self.program_version, equipment.minimum_version):
            problems.append(Problem("version", f"older than {equipment.minimum_version}"))
        if problems:
            raise Invalid(problems)

    async def version(self, hvparams: Parameters) -> str:
        return self.program_version

    async def read_firmware_variables(self, guest: Guest) -> bytes:
        self._ask("read firmware variables", guest.name)
        return self.variables.get(guest.uuid, b"")

    async def store_firmware_variables(self, guest: Guest, content: bytes) -> None:
        await self._guests.store_firmware_variables(guest, content)
        self.variables.pop(guest.uuid, None)
        if content:
            self.variables[guest.uuid] = content

    async def running_config(self, guest: Guest) -> RunningConfig:
        found = await self._guests.running_config(guest)
        return replace(found, version=self.program_version)

    async def accept(
        self,
        guest: Guest,
        disks: Sequence[AttachedDisk],
        address: str,
        running: RunningConfig,
        *,
        seed: bytes | None = None,
        secret: str = "",
        copies: bool = False,
    ) -> str:
        self._ask("accept", guest.name)
        self.seeds[guest.name] = seed
        self.secrets[guest.name] = secret
        if copies:
            self.disks[guest.name] = tuple(disk.path for disk in disks)
        return await self._guests.accept(guest, disks, address, running, seed=seed)

    async def migrate(
        self, guest: Guest, destination: str, *, live: bool, secret: str = ""
    ) -> None:
        self._ask("migrate", guest.name)
        self.secrets[guest.name] = secret
        self.copied.pop(guest.name, None)
        if not self.reaches(destination.rpartition(":")[0]):
            raise Failed(f"{destination} cannot be reached")
        await self._guests.migrate(guest, destination, live=live)

    async def sending(self, guest: Guest) -> MigrationProgress:
        if self.breaks_at == "sending":
            await self._guests.finish_outgoing(guest, left=False)
            return MigrationProgress(phase=MigrationPhase.FAILED, message="broken on purpose")
        return await self._guests.sending(guest)

    async def receive_disks(self, guest: Guest, address: str) -> str:
        self._ask("receive disks", guest.name)
        if guest.name not in self.held():
            raise NotRunning(guest.name)
        return f"{address}:1"

    async def copy_disks(self, guest: Guest, destination: str, secret: str) -> None:
        self._ask("copy disks", guest.name)
        await self._guests.running_config(guest)
        self.copied[guest.name] = self.copies()

    async def copying(self, guest: Guest) -> MigrationProgress:
        self._ask("copying", guest.name)
        return next(self.copied[guest.name], _FOLLOWS)

    async def finish_incoming(self, guest: Guest, *, arrived: bool) -> str:
        self._ask("finish_incoming", guest.name)
        if arrived and guest.name in self.loses:
            raise NotRunning(guest.name)
        await self._guests.finish_incoming(guest, arrived=arrived)
        return "" if arrived else self.complaint

    async def finish_outgoing(self, guest: Guest, *, left: bool) -> None:
        self._ask("finish_outgoing", guest.name)
        await self._guests.finish_outgoing(guest, left=left)
        self.copied.pop(guest.name, None)

    def _ask(self, what: str, name: str) -> None:
        self.asked.append((what, name))
        if self.breaks_at == what:
            raise Failed(f"{what} of {name} is broken on purpose")
