# SPDX-License-Identifier: BSD-2-Clause
"""Starts, stops and migrates QEMU guests; the list of running guests needs no query to QEMU."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ganeti.errors import Code, Failed, Invalid, Problem
from ganeti.hypervisor.interfaces import (
    NO_DEVICES,
    AttachedDisk,
    ConsoleAccess,
    ConsoleKind,
    ConsoleSocket,
    ConsoleStream,
    GuestDevices,
    IHypervisor,
    ILiveBackups,
    ILiveCopies,
    ILiveSnapshots,
    IMemorySnapshots,
    IPacketFilters,
    LivePoint,
    MigrationProgress,
    Running,
    no_screen,
)
from ganeti.hypervisor.kvm import disk_snapshots, hotplug, requirements
from ganeti.hypervisor.kvm.accelerator import AcceleratorSelector
from ganeti.hypervisor.kvm.disk_copies import DiskCopies
from ganeti.hypervisor.kvm.firmware import FirmwareVariables
from ganeti.hypervisor.kvm.ganeti_guests import GanetiGuests
from ganeti.hypervisor.kvm.guest_agent import GuestAgents
from ganeti.hypervisor.kvm.guest_registry import GuestPhase, GuestRegistry
from ganeti.hypervisor.kvm.live_backups import LiveBackups
from ganeti.hypervisor.kvm.memory_snapshots import MemorySnapshots
from ganeti.hypervisor.kvm.migration_capabilities import find_problems
from ganeti.hypervisor.kvm.migration_keys import MigrationKeys
from ganeti.hypervisor.kvm.monitor import MonitorConnector
from ganeti.hypervisor.kvm.packet_filter import needs_filter
from ganeti.hypervisor.kvm.qemu_command import FIRST_VNC_PORT, Accelerator, cpu_model, read
from ganeti.hypervisor.kvm.qemu_files import QemuFiles
from ganeti.hypervisor.kvm.qemu_migration import QemuMigration
from ganeti.hypervisor.kvm.qemu_processes import QemuProcesses, read_parameters
from ganeti.hypervisor.kvm.qemu_user import QemuUsers, Ranges
from ganeti.hypervisor.kvm.quiescence import GuestQuiescence
from ganeti.hypervisor.kvm.running_devices import DeviceChanges
from ganeti.hypervisor.kvm.screenshot import MAX_SCREEN, small_png
from ganeti.hypervisor.kvm.tap_devices import Taps
from ganeti.hypervisor.kvm.tpm import TpmEmulators
from ganeti.model.guest import CheckScope, Counters, Guest, GuestNic, GuestState
from ganeti.model.instance_snapshots import SavedMemory
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.running import GANETI, RunningConfig, running_config
from ganeti.schema.records import replace
from ganeti.schema.types import Parameters
from ganeti.system.interfaces import (
    FileAccess,
    IAccounts,
    IDescriptors,
    IFiles,
    IImages,
    IProcesses,
    IStateFiles,
)

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where the node itself reaches what listens everywhere."""


@implementer(
    IHypervisor, ILiveBackups, ILiveCopies, ILiveSnapshots, IMemorySnapshots, IPacketFilters
)
class KvmHypervisor:
    """QEMU guests; their sockets are in ``folder``, ``attach`` is the command for serial
    consoles. ``ganeti`` is the folder of guests that Ganeti has started, ``firmware`` that of UEFI
    variables and TPMs, ``keys`` that of the cluster's certificates, ``scratch`` that of what guests
    overwrite during a backup. With ``scopes``, each QEMU gets a systemd scope. ``user_pool``
    returns the user IDs for guests, which only a ``privileged`` daemon, that is root, can give to
    them."""

    def __init__(
        self,
        *,
        folder: str,
        notes: IStateFiles,
        files: IFiles,
        processes: IProcesses,
        monitors: MonitorConnector,
        agents: GuestAgents,
        accelerators: AcceleratorSelector,
        clock: IReactorTime,
        attach: Sequence[str],
        ganeti: str,
        firmware: str,
        descriptors: IDescriptors,
        accounts: IAccounts,
        user_pool: Callable[[], Ranges],
        images: IImages,
        scratch: str,
        keys: str,
        scopes: bool = False,
        privileged: bool = True,
    ) -> None:
        self._files = files
        self._keys = keys
        self._agents = agents
        self._processes = processes
        self._attach = tuple(attach)
        known = GanetiGuests(ganeti, files)
        self._guests = GuestRegistry(folder, notes, files, processes, known)
        stamp = (lambda: round(clock.seconds() * 1000)) if scopes else None
        self._taps = taps = Taps(files, processes, stamp)
        self._variables = FirmwareVariables(firmware, files)
        self._users = QemuUsers(accounts, user_pool, privileged=privileged)
        self._qemu_files = QemuFiles(descriptors)
        self._qemus = QemuProcesses(
            self._guests,
            taps,
            self._variables,
            self._users,
            TpmEmulators(files, processes, privileged=privileged, scopes=scopes),
            folder=folder,
            keys=keys,
            files=files,
            processes=processes,
            monitors=monitors,
            accelerators=accelerators,
            clock=clock,
            scopes=scopes,
        )
        self._devices = DeviceChanges(
            self._guests, self._qemus, taps, files, self._qemu_files, clock
        )
        self._quiescence = GuestQuiescence(self._guests, agents, files, scratch)
        self._backups = LiveBackups(
            self._guests, self._qemus, files, images, self._qemu_files, self._quiescence, scratch
        )
        self._memory = MemorySnapshots(self._guests, self._qemus, files, clock)
        secrets = MigrationKeys(self._guests, files, self._qemu_files)
        self._copies = DiskCopies(self._guests, self._qemus, secrets, clock)
        self._migration = QemuMigration(
            self._guests, self._qemus, self._variables, secrets, self._copies, clock
        )

    # --- start and stop

    async def start(
        self,
        guest: Guest,
        disks: Sequence[AttachedDisk],
        *,
        paused: bool = False,
        seed: bytes | None = None,
    ) -> None:
        await self._qemus.launch_guest(guest, disks, paused=paused, seed=seed)

    async def stop(self, name: str, *, hard: bool) -> None:
        if hard:
            if (runtime := self._guests.get(name)) and not self._guests.process_info(runtime):
                await self._qemus.remove_traces(runtime)
            await self._qemus.end_process(self._guests.alive(name))
            return
        agent = self._quiescence.find_agent(self._guests.alive(name, GuestPhase.HERE))
        if agent and await self._agents.shut_down(agent):
            return
        async with self._qemus.connect_monitor(name) as qemu:
            await qemu.execute("system_powerdown")

    def present(self) -> frozenset[str]:
        return frozenset(self._guests.present())

    async def kill(self, names: Collection[str]) -> None:
        present = self._guests.present()
        await self._qemus.kill_processes([present[name] for name in names if name in present])

    async def reboot(self, guest: Guest) -> None:
        self._guests.alive(guest.name, GuestPhase.HERE)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            await qemu.execute("system_reset")

    def running(self) -> Mapping[str, GuestState]:
        return self._guests.running()

    def counters(self) -> Mapping[str, Counters]:
        return self._guests.counters()

    async def console(self, guest: Guest) -> ConsoleAccess:
        guest, kvm = self._as_started(guest)
        if kvm.serial_console:
            socket = self._guests.runtime_paths(guest.name).serial
            return ConsoleAccess(kind=ConsoleKind.SSH, command=(*self._attach, socket))
        address, port = kvm.vnc_bind_address, guest.network_port
        if address and not address.startswith("/") and port is not None:
            host = None if address in ("0.0.0.0", "::") else address
            display = str(port - FIRST_VNC_PORT)
            return ConsoleAccess(kind=ConsoleKind.VNC, host=host, port=port, display=display)
        if kvm.spice_bind and port is not None:
            address = await self._qemus.find_spice_address(kvm)
            host = None if address in _LOOPBACK else address
            return ConsoleAccess(kind=ConsoleKind.SPICE, host=host, port=port)
        message = (
            f"instance {guest.name} has no console: set the hypervisor parameter serial_console,"
            " vnc_bind_address or spice_bind, then stop and start the instance"
        )
        return ConsoleAccess(kind=ConsoleKind.MESSAGE, message=message)

    async def console_sockets(self, guest: Guest) -> Mapping[ConsoleStream, ConsoleSocket]:
        guest, kvm = self._as_started(guest)
        found: dict[ConsoleStream, ConsoleSocket] = {}
        if kvm.serial_console:
            path = self._guests.runtime_paths(guest.name).serial
            found[ConsoleStream.SERIAL] = ConsoleSocket(path=path)
        address = kvm.vnc_bind_address
        if address.startswith("/"):
            path = f"{address.rstrip('/')}/{guest.name}.vnc"
            found[ConsoleStream.VNC] = ConsoleSocket(path=path)
        elif address and guest.network_port is not None:
            host = _LOOPBACK.get(address, address)
            found[ConsoleStream.VNC] = ConsoleSocket(host=host, port=guest.network_port)
        return found

    def _as_started(self, guest: Guest) -> tuple[Guest, Kvm]:
        """Return a guest with what its consoles were made of when it was started."""
        config = self._guests.alive(guest.name, GuestPhase.HERE).config
        if config is not None:
            guest = replace(guest, hvparams=config.hvparams, network_port=config.network_port)
        return guest, read(guest.hvparams)

    async def screenshot(self, guest: Guest) -> bytes:
        guest, kvm = self._as_started(guest)
        if not (kvm.vga or kvm.vnc_bind_address or kvm.spice_bind) or kvm.vga == "none":
            raise no_screen(guest.name)
        runtime = self._guests.alive(guest.name, GuestPhase.HERE)
        path = self._guests.runtime_paths(guest.name).screen
        try:
            async with self._qemus.connect_monitor(guest.name) as qemu:
                name = path
                if runtime.user:
                    name = await self._qemu_files.pass_file(qemu, path, FileAccess.EMPTY)
                await qemu.execute("screendump", filename=name)
            found = self._files.stat(path)
            if found is None or found.size > MAX_SCREEN:
                raise Failed(f"QEMU wrote no picture of instance {guest.name}", Code.ENVIRONMENT)
            return small_png(self._files.read(path))
        finally:
            await self._files.remove(path)

    async def validate(self, hvparams: Parameters, equipment: GuestDevices = NO_DEVICES) -> None:
        kvm = read_parameters(hvparams)
        try:
            program = await self._qemus.describe_program(kvm)
        except Failed:  # the start of a guest reports this
            program = None
        found = list(requirements.problems(kvm, equipment, self._files, program, self._keys))
        if equipment.scope is CheckScope.RUNNING:
            found += find_problems(kvm)
        if kvm.kvm_net == "host":
            for index, card in enumerate(equipment.nics):
                if problem := await self._taps.find_network_problem(card):
                    found.append(Problem(f"nics/{index}", problem))
        if problem := await self._users.find_problem(kvm):
            found.append(Problem("security_domain", problem))
        if found:
            raise Invalid(found)

    async def version(self, hvparams: Parameters) -> str:
        return (await self._qemus.describe_program(read_parameters(hvparams))).version

    async def read_firmware_variables(self, guest: Guest) -> bytes:
        return self._variables.read_state(guest, read_parameters(guest.hvparams))

    async def store_firmware_variables(self, guest: Guest, content: bytes) -> None:
        if (runtime := self._guests.get(guest.name)) and self._guests.process_info(runtime):
            raise Running(guest.name)
        if content:
            kvm = read_parameters(guest.hvparams)
            await self._variables.store_state(guest, kvm, content)
        else:
            await self._variables.remove_variables(guest)

    async def running_config(self, guest: Guest) -> RunningConfig:
        runtime = self._guests.alive(guest.name, GuestPhase.HERE)
        if runtime.config is not None and runtime.of_ganeti:
            # Ganeti does not record the port, which guests have even if they do not listen there.
            port = runtime.config.network_port or guest.network_port
            return replace(runtime.config, network_port=port)
        if runtime.config is not None:
            return runtime.config
        # It was started by an older version, which recorded only these values.
        async with self._qemus.connect_monitor(guest.name) as qemu:
            machine = await qemu.execute("qom-get", path="/machine", property="type")
        arguments = self._processes.arguments(runtime.pid)
        software = any(f"accel={Accelerator.TCG.value}" in each for each in arguments)
        accelerator = Accelerator.TCG if software else Accelerator.KVM
        chosen = {
            "machine_version": str(machine).removesuffix("-machine"),
            "kvm_accel": accelerator.value,
            "cpu_type": cpu_model(read_parameters(guest.hvparams), accelerator),
        }
        return replace(
            running_config(guest, chosen, ""),
            memory=runtime.memory,
            vcpus=runtime.vcpus,
            started_by=GANETI if runtime.of_ganeti else "",
        )

    # --- devices of a running guest

    async def find_hotplug_problem(self, guest: Guest) -> str:
        return hotplug.find_problem(await self.running_config(guest), guest.name)

    async def plug(self, guest: Guest, device: AttachedDisk | GuestNic) -> None:
        await self._devices.plug_device(guest, device)

    async def unplug(self, guest: Guest, uuid: str) -> None:
        await self._devices.unplug_device(guest, uuid)

    async def change_media(self, guest: Guest, *, force: bool) -> None:
        await self._devices.change_cds(guest, force=force)

    async def set_memory(self, guest: Guest, memory: int) -> None:
        await self._devices.change_memory(guest, memory)

    async def restore_filters(self) -> Sequence[str]:
        cards = {card.uuid: (name, card) for name, card in self._cards() if needs_filter(card)}
        restored = await self._taps.restore_filters([card for _, card in cards.values()])
        return [cards[card.uuid][0] for card in restored]

    async def restore_servers(self) -> Sequence[str]:
        return await self._taps.restore_servers(list(self._cards()))

    def _cards(self) -> Iterator[tuple[str, GuestNic]]:
        """Yield the cards of guests that have tap devices, with the names of the guests."""
        for name, record in self._guests.present().items():
            if record.config is not None and record.taps:
                yield from ((name, card) for card in record.config.nics)

    # --- snapshots of the disks of a running guest

    async def snapshot_disks(self, guest: Guest, name: str) -> bool:
        monitor = self._qemus.connect_monitor(guest.name)
        async with self._freeze(guest) as frozen, monitor as qemu:
            await disk_snapshots.create(qemu, guest.disks, name)
        return frozen

    @asynccontextmanager
    async def _freeze(self, guest: Guest) -> AsyncIterator[bool]:
        """Freeze the file systems of a guest; return whether its agent has."""
        runtime = self._guests.alive(guest.name, GuestPhase.HERE)
        disk_snapshots.require_same_disks(guest, await self.running_config(guest))
        async with self._quiescence.freeze_guest(runtime) as frozen:
            yield frozen

    @asynccontextmanager
    async def hold_writes(self, guest: Guest) -> AsyncIterator[bool]:
        async with self._freeze(guest) as frozen:
            async with self._qemus.connect_monitor(guest.name) as qemu:
                stopped = await self._quiescence.stop_guest(qemu, guest.name)
            try:
                yield frozen
            finally:
                if stopped:
                    async with self._qemus.connect_monitor(guest.name) as qemu:
                        await self._quiescence.continue_guest(qemu, guest.name)

    async def release_guest(self, guest: Guest) -> None:
        runtime = self._guests.alive(guest.name, GuestPhase.HERE)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            await self._quiescence.release_guest(qemu, runtime)

    async def snapshot_memory(self, guest: Guest, name: str) -> SavedMemory:
        return await self._memory.save_guest(guest, name)

    async def find_memory_problem(self, guest: Guest, saved: SavedMemory) -> str:
        hvparams = {**saved.running.hvparams, **saved.running.chosen}
        return self._memory.find_problem(guest, await self.version(hvparams), saved)

    async def resume_from_memory(self, guest: Guest, name: str, saved: SavedMemory) -> None:
        await self._memory.load_guest(guest, name, saved)

    async def remove_disk_snapshots(self, guest: Guest, name: str) -> None:
        await self._memory.settle_job(guest, name)
        config = await self.running_config(guest)
        running = {each.uuid for each in config.disks}
        disks = [each for each in guest.disks if each.uuid in running]
        async with self._qemus.connect_monitor(guest.name) as qemu:
            await disk_snapshots.remove(qemu, disks, name)

    # --- migration

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
        return await self._migration.accept_guest(
            guest, disks, address, running, seed=seed, secret=secret, copies=copies
        )

    async def migrate(
        self, guest: Guest, destination: str, *, live: bool, secret: str = ""
    ) -> None:
        await self._migration.send_guest(guest, destination, live=live, secret=secret)

    async def receive_disks(self, guest: Guest, address: str) -> str:
        return await self._copies.receive_disks(guest, address)

    async def copy_disks(self, guest: Guest, destination: str, secret: str) -> None:
        await self._copies.copy_disks(guest, destination, secret)

    async def copying(self, guest: Guest) -> MigrationProgress:
        return await self._copies.query_progress(guest)

    async def sending(self, guest: Guest) -> MigrationProgress:
        return await self._migration.query_progress(guest)

    async def finish_incoming(self, guest: Guest, *, arrived: bool) -> str:
        return await self._migration.end_incoming(guest, arrived=arrived)

    async def finish_outgoing(self, guest: Guest, *, left: bool) -> None:
        await self._migration.end_outgoing(guest, left=left)

    # --- backups

    async def begin_backup(
        self,
        guest: Guest,
        disks: Sequence[AttachedDisk],
        repository: str,
        backup: str,
        parent: str,
    ) -> LivePoint:
        return await self._backups.show_disks(guest, disks, repository, backup, parent)

    async def end_backup(
        self, guest: Guest, repository: str, backup: str, *, complete: bool
    ) -> None:
        await self._backups.hide_disks(guest, repository, backup, complete=complete)

    async def end_interrupted_backups(self) -> None:
        await self._backups.end_leftovers()
