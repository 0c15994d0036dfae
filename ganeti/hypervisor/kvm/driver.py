# SPDX-License-Identifier: BSD-2-Clause
"""Starts, stops and migrates QEMU guests; the list of running guests needs no query to QEMU."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from ganeti.errors import Code, Failed, Invalid, Problem, Refused
from ganeti.hypervisor.interfaces import (
    NO_DEVICES,
    AttachedDisk,
    ConsoleAccess,
    ConsoleKind,
    ConsoleSocket,
    ConsoleStream,
    GuestDevices,
    IHypervisor,
    MigrationPhase,
    MigrationProgress,
    Running,
    no_screen,
)
from ganeti.hypervisor.kvm import hotplug, requirements
from ganeti.hypervisor.kvm.accelerator import AcceleratorSelector
from ganeti.hypervisor.kvm.cd_drives import CdDrive, changed_drives
from ganeti.hypervisor.kvm.devices import tap
from ganeti.hypervisor.kvm.ganeti_guests import GanetiGuests
from ganeti.hypervisor.kvm.guest_registry import GuestPhase, GuestRecord, GuestRegistry
from ganeti.hypervisor.kvm.monitor import (
    CommandFailed,
    Monitor,
    MonitorConnector,
    MonitorUnavailable,
)
from ganeti.hypervisor.kvm.programs import QemuProgram, QemuPrograms
from ganeti.hypervisor.kvm.qemu_command import (
    FIRST_VNC_PORT,
    Accelerator,
    HostSettings,
    command,
    cpu_model,
    read,
)
from ganeti.hypervisor.kvm.runtime_paths import RuntimePaths
from ganeti.hypervisor.kvm.scope import scope_command
from ganeti.hypervisor.kvm.screenshot import MAX_SCREEN, small_png
from ganeti.hypervisor.kvm.tap_devices import Taps
from ganeti.model.guest import CheckScope, Counters, Guest, GuestNic, GuestState
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.running import (
    GANETI,
    RunningConfig,
    running_config,
    with_disk,
    with_nic,
    without_device,
)
from ganeti.schema.records import replace
from ganeti.schema.types import Parameters
from ganeti.system.interfaces import MINIMAL_PATH, IFiles, IProcesses, IStateFiles

_START_TIMEOUT = 600.0
"""How long QEMU may take to start, in seconds; with ``mem_path`` it allocates all memory."""
_QUIT_TIMEOUT = 30.0
_KILL_TIMEOUT = 120.0
"""How long a process may take to exit after SIGKILL, in seconds: freeing much memory takes time."""
_INCOMING_TIMEOUT = 60.0
_POLL_INTERVAL = 0.02
_TRAY_TIMEOUT, _TRAY_INTERVAL = 5.0, 0.5
"""How long a guest that has locked a CD drive may take to open it, and how often it is asked to, in
seconds."""
_MIGRATION_PORTS = 32
"""How many ports from ``migration_port`` on are tried; the limit of concurrent migrations."""

_BINARY = "qemu-system-x86_64"
_MIB = 1 << 20
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where the node itself reaches what listens everywhere."""

_LOG_PREFIX = re.compile(r"^\S*qemu\S*: ")
"""The prefix of lines in QEMU's log."""
_MAX_LOG_LENGTH = 1000
"""How many characters from the end of QEMU's log are included in a message."""


@implementer(IHypervisor)
class KvmHypervisor:
    """QEMU guests; their sockets are in ``folder``, ``attach`` is the command for serial
    consoles. ``ganeti`` is the folder of guests that Ganeti has started. With ``scopes``, each QEMU
    gets a systemd scope."""

    def __init__(
        self,
        *,
        folder: str,
        notes: IStateFiles,
        files: IFiles,
        processes: IProcesses,
        monitors: MonitorConnector,
        accelerators: AcceleratorSelector,
        clock: IReactorTime,
        attach: Sequence[str],
        ganeti: str,
        scopes: bool = False,
    ) -> None:
        self._folder = folder
        self._files = files
        self._processes = processes
        self._monitors = monitors
        self._accelerators = accelerators
        self._clock = clock
        self._attach = tuple(attach)
        self._scopes = scopes
        self._taps = Taps(files, processes)
        self._programs = QemuPrograms(files, processes)
        known = GanetiGuests(ganeti, files)
        self._guests = GuestRegistry(folder, notes, files, processes, known)

    # --- start and stop

    async def start(
        self, guest: Guest, disks: Sequence[AttachedDisk], *, paused: bool = False
    ) -> None:
        await self._launch(guest, disks, paused=paused)

    async def stop(self, name: str, *, hard: bool) -> None:
        if hard:
            if (runtime := self._guests.get(name)) and not self._guests.process_info(runtime):
                await self._clean_up(runtime)
            await self._terminate(self._guests.alive(name))
            return
        self._guests.alive(name, GuestPhase.HERE)
        async with self._connect_monitor(name) as qemu:
            await qemu.execute("system_powerdown")

    async def reboot(self, guest: Guest) -> None:
        self._guests.alive(guest.name, GuestPhase.HERE)
        async with self._connect_monitor(guest.name) as qemu:
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
        message = (
            f"instance {guest.name} has no console: set the hypervisor parameter serial_console or"
            " vnc_bind_address, then stop and start the instance"
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

    async def change_media(self, guest: Guest, *, force: bool) -> None:
        runtime = self._guests.alive(guest.name, GuestPhase.HERE)
        if runtime.config is None:
            return  # an older version started it, and did not note its drives
        config = runtime.config
        started, configured = (_read_parameters(each.hvparams) for each in (config, guest))
        for drive in changed_drives(started, configured, config.empty_drives):
            async with self._connect_monitor(guest.name) as qemu:
                await self._change_medium(qemu, drive, guest.name, force=force)
            # At once: a migration would otherwise start the guest with the image before.
            hvparams = {**config.hvparams, drive.parameter: drive.image}
            empty = set(config.empty_drives) - {drive.parameter}
            if not drive.image:
                empty.add(drive.parameter)
            config = replace(config, hvparams=hvparams, empty_drives=tuple(sorted(empty)))
            runtime = replace(runtime, config=config)
            self._guests.save_record(runtime)

    async def _change_medium(
        self, qemu: Monitor, drive: CdDrive, name: str, *, force: bool
    ) -> None:
        """Put another image into a drive, or none; QEMU asks a guest that has locked it.

        :raises Refused: the guest does not open it.
        """
        deadline = self._clock.seconds() + _TRAY_TIMEOUT
        # Earlier versions of QEMU than 7.1 cannot force the change of a CD, but its removal.
        forced = {"force": True} if force else {}
        while True:
            try:
                if drive.image:
                    await qemu.execute(
                        "blockdev-change-medium",
                        device=drive.name,
                        filename=drive.image,
                        format="raw",
                        read_only_mode="retain",
                        **forced,
                    )
                else:
                    await qemu.execute("eject", device=drive.name, **forced)
            except CommandFailed as error:
                if "is locked" not in str(error):
                    raise
            else:
                return
            if self._clock.seconds() >= deadline:
                raise Refused(
                    f"the guest of instance {name} has locked the CD drive of {drive.parameter} and"
                    f" did not open it within {_TRAY_TIMEOUT:g} seconds; unmount the CD there and"
                    " try again, or use --force to change it anyway"
                )
            await deferLater(self._clock, _TRAY_INTERVAL)

    # --- devices of a running guest

    async def find_hotplug_problem(self, guest: Guest) -> str:
        return hotplug.find_problem(await self.running_config(guest), guest.name)

    async def plug(self, guest: Guest, device: AttachedDisk | GuestNic) -> None:
        runtime, running, kvm = self._require_changeable(guest.name)
        if isinstance(device, AttachedDisk):
            await self._plug_disk(runtime, running, kvm, device)
            return
        before = next((each for each in running.nics if each.uuid == device.uuid), None)
        if before is None:
            await self._plug_nic(runtime, running, kvm, device)
        elif before.mac == device.mac:
            if kvm.kvm_net == "host":
                await self._taps.reconnect(before, device, guest.name)
            self._guests.save_record(replace(runtime, config=with_nic(running, device)))
        else:
            await self.unplug(guest, device.uuid)
            await self.plug(guest, device)

    async def _plug_disk(
        self, runtime: GuestRecord, running: RunningConfig, kvm: Kvm, attached: AttachedDisk
    ) -> None:
        hotplug.require_hot_disk(kvm, runtime.name)
        # Before QEMU opens it, so that no disk that is in use counts as free.
        planned = replace(runtime, config=with_disk(running, attached.disk))
        self._guests.save_record(planned)
        try:
            async with self._connect_monitor(runtime.name) as qemu:
                found = self._files.stat(attached.path)
                device_file = found is not None and found.device
                await hotplug.add_disk(qemu, attached, kvm, device_file=device_file)
                await self._keep_slots(qemu, planned)
        except CommandFailed:
            self._guests.save_record(runtime)
            raise

    async def _plug_nic(
        self, runtime: GuestRecord, running: RunningConfig, kvm: Kvm, card: GuestNic
    ) -> None:
        taps = () if kvm.kvm_net == "user" else (tap(card),)
        planned = replace(runtime, config=with_nic(running, card), taps=(*runtime.taps, *taps))
        self._guests.save_record(planned)
        try:
            await self._taps.connect_cards(runtime.name, [card], kvm)
            async with self._connect_monitor(runtime.name) as qemu:
                await hotplug.add_nic(qemu, card, kvm)
                await self._keep_slots(qemu, planned)
        except (CommandFailed, Refused):
            await self._taps.disconnect(taps)
            self._guests.save_record(runtime)
            raise

    async def unplug(self, guest: Guest, uuid: str) -> None:
        runtime, running, kvm = self._require_changeable(guest.name)
        card = next((each for each in running.nics if each.uuid == uuid), None)
        async with self._connect_monitor(guest.name) as qemu:
            if card is not None:
                await hotplug.remove_nic(qemu, card, self._clock)
                if kvm.kvm_net == "host":
                    await self._taps.disconnect((tap(card),))
                    taps = tuple(each for each in runtime.taps if each != tap(card))
                    runtime = replace(runtime, taps=taps)
            elif any(each.uuid == uuid for each in running.disks):
                hotplug.require_hot_disk(kvm, guest.name)
                await hotplug.remove_disk(qemu, uuid, self._clock)
            else:
                return
            changed = replace(runtime, config=without_device(running, uuid))
            await self._keep_slots(qemu, changed)

    async def _keep_slots(self, qemu: Monitor, runtime: GuestRecord) -> None:
        """Record a changed guest, with the addresses that its devices have now."""
        assert runtime.config is not None
        config = replace(runtime.config, slots=await hotplug.read_slots(qemu))
        self._guests.save_record(replace(runtime, config=config))

    def _require_changeable(self, name: str) -> tuple[GuestRecord, RunningConfig, Kvm]:
        """Return the record of a running guest whose devices can change, and its settings.

        :raises Refused: they cannot change while it runs.
        """
        runtime = self._guests.alive(name, GuestPhase.HERE)
        running = runtime.config
        if running is None:
            raise Refused(
                f"instance {name} was started by an older version; restart it: gnt-instance"
                f" reboot {name}"
            )
        if problem := hotplug.find_problem(running, name):
            raise Refused(problem)
        return runtime, running, _read_parameters(running.hvparams)

    async def screenshot(self, guest: Guest) -> bytes:
        guest, kvm = self._as_started(guest)
        if not (kvm.vga or kvm.vnc_bind_address) or kvm.vga == "none":
            raise no_screen(guest.name)
        path = self._guests.runtime_paths(guest.name).screen
        try:
            async with self._connect_monitor(guest.name) as qemu:
                await qemu.execute("screendump", filename=path)
            found = self._files.stat(path)
            if found is None or found.size > MAX_SCREEN:
                raise Failed(f"QEMU wrote no picture of instance {guest.name}", Code.ENVIRONMENT)
            return small_png(self._files.read(path))
        finally:
            await self._files.remove(path)

    async def validate(self, hvparams: Parameters, equipment: GuestDevices = NO_DEVICES) -> None:
        kvm = _read_parameters(hvparams)
        try:
            program = await self._programs.describe(self._find_binary(kvm))
        except Failed:  # the start of a guest reports this
            program = None
        found = list(requirements.problems(kvm, equipment, self._files, program))
        if found:
            raise Invalid(found)

    async def version(self, hvparams: Parameters) -> str:
        return (
            await self._programs.describe(self._find_binary(_read_parameters(hvparams)))
        ).version

    async def running_config(self, guest: Guest) -> RunningConfig:
        runtime = self._guests.alive(guest.name, GuestPhase.HERE)
        if runtime.config is not None and runtime.of_ganeti:
            # Ganeti does not record the port, which guests have even if they do not listen there.
            port = runtime.config.network_port or guest.network_port
            return replace(runtime.config, network_port=port)
        if runtime.config is not None:
            return runtime.config
        # It was started by an older version, which recorded only these values.
        async with self._connect_monitor(guest.name) as qemu:
            machine = await qemu.execute("qom-get", path="/machine", property="type")
        arguments = self._processes.arguments(runtime.pid)
        software = any(f"accel={Accelerator.TCG.value}" in each for each in arguments)
        accelerator = Accelerator.TCG if software else Accelerator.KVM
        chosen = {
            "machine_version": str(machine).removesuffix("-machine"),
            "kvm_accel": accelerator.value,
            "cpu_type": cpu_model(_read_parameters(guest.hvparams), accelerator),
        }
        return replace(
            running_config(guest, chosen, ""),
            memory=runtime.memory,
            vcpus=runtime.vcpus,
            started_by=GANETI if runtime.of_ganeti else "",
        )

    # --- migration

    async def accept(
        self, guest: Guest, disks: Sequence[AttachedDisk], address: str, running: RunningConfig
    ) -> str:
        kvm = _read_parameters(guest.hvparams)
        await self._launch(guest, disks, running=running)
        try:
            async with self._connect_monitor(guest.name) as qemu:
                await _set_capabilities(qemu, kvm)
                return await _listen_for_migration(qemu, kvm, address)
        except BaseException:
            if runtime := self._guests.get(guest.name):
                await self._terminate(runtime)
            raise

    async def migrate(self, guest: Guest, destination: str, *, live: bool) -> None:
        self._guests.alive(guest.name, GuestPhase.HERE)
        kvm = _read_parameters(guest.hvparams)
        async with self._connect_monitor(guest.name) as qemu:
            await _set_capabilities(qemu, kvm)
            limits = {"downtime_limit": kvm.migration_downtime}
            if kvm.migration_bandwidth:
                limits["max_bandwidth"] = kvm.migration_bandwidth * _MIB
            await qemu.execute("migrate-set-parameters", **limits)
            if not live:
                await qemu.execute("stop")
            await qemu.execute("migrate", uri=f"tcp:{destination}")

    async def sending(self, guest: Guest) -> MigrationProgress:
        runtime = self._guests.alive(guest.name, GuestPhase.HERE, GuestPhase.LEFT)
        async with self._connect_monitor(guest.name) as qemu:
            found = _parse_progress(await qemu.execute("query-migrate"))
        if found.phase is MigrationPhase.COMPLETED and runtime.place is GuestPhase.HERE:
            self._guests.save_record(replace(runtime, place=GuestPhase.LEFT))
        return found

    async def finish_incoming(self, guest: Guest, *, arrived: bool) -> str:
        if not arrived:
            said = self._read_log(guest.name)
            if runtime := self._guests.get(guest.name):
                await self._terminate(runtime)
            return said
        runtime = self._guests.alive(guest.name, GuestPhase.INCOMING, GuestPhase.HERE)
        async with self._connect_monitor(guest.name) as qemu:
            await self._resume(qemu, guest.name)
            if runtime.place is GuestPhase.INCOMING:
                await self._close_log(qemu, guest.name)
        self._guests.save_record(replace(runtime, place=GuestPhase.HERE))
        return ""

    async def finish_outgoing(self, guest: Guest, *, left: bool) -> None:
        if left:
            if runtime := self._guests.get(guest.name):
                await self._terminate(runtime)
            return
        runtime = self._guests.alive(guest.name, GuestPhase.HERE, GuestPhase.LEFT)
        async with self._connect_monitor(guest.name) as qemu:
            await self._cancel_migration(qemu)
            await self._resume(qemu, guest.name)
        self._guests.save_record(replace(runtime, place=GuestPhase.HERE))

    async def _resume(self, qemu: Monitor, name: str) -> None:
        """Resume a guest that was migrated, when all of its state has arrived."""
        deadline = self._clock.seconds() + _INCOMING_TIMEOUT
        while (status := (await qemu.execute("query-status"))["status"]) == "inmigrate":
            if self._clock.seconds() >= deadline:
                raise Failed(f"{name} did not arrive completely within {_INCOMING_TIMEOUT:g} s")
            await deferLater(self._clock, _POLL_INTERVAL)
        if status != "running":
            await qemu.execute("cont")

    def _read_log(self, name: str) -> str:
        """Return the end of the log of an incoming guest's QEMU, as one line."""
        path = self._guests.runtime_paths(name).log
        if self._files.stat(path) is None:
            return ""
        text = self._files.read(path).decode("utf-8", "replace")
        lines = [_LOG_PREFIX.sub("", line) for line in text.splitlines() if line.strip()]
        return "; ".join(lines)[-_MAX_LOG_LENGTH:]

    async def _close_log(self, qemu: Monitor, name: str) -> None:
        """Stop QEMU from writing its log, which the guest could make grow."""
        with suppress(CommandFailed):
            await qemu.execute("human-monitor-command", command_line="logfile /dev/null")
        path = self._guests.runtime_paths(name).log
        if self._files.stat(path) is not None:
            await self._files.remove(path)

    async def _cancel_migration(self, qemu: Monitor) -> None:
        deadline = self._clock.seconds() + _QUIT_TIMEOUT
        while _parse_progress(await qemu.execute("query-migrate")).phase is MigrationPhase.ACTIVE:
            if self._clock.seconds() >= deadline:
                raise Failed(f"QEMU did not cancel the migration within {_QUIT_TIMEOUT:g} s")
            await qemu.execute("migrate_cancel")
            await deferLater(self._clock, _POLL_INTERVAL)

    # --- processes

    async def _launch(
        self,
        guest: Guest,
        disks: Sequence[AttachedDisk],
        *,
        paused: bool = False,
        running: RunningConfig | None = None,
    ) -> None:
        """Start QEMU for a guest; if that fails, remove everything.

        With ``running``, it waits for the migration of a guest with that configuration.
        """
        await self._require_not_running(guest.name)
        kvm = _read_parameters(guest.hvparams)
        binary = self._find_binary(kvm)
        program = await self._programs.describe(binary)
        scope = CheckScope.ALL if running is None else CheckScope.RUNNING
        equipment = GuestDevices(guest.nics, len(disks), scope)
        if found := list(requirements.problems(kvm, equipment, self._files, program)):
            raise Refused(f"{guest.name} cannot run on this node: {Invalid(found)}")
        accelerator = await self._accelerators.choose(kvm, binary)
        chosen = _resolve_defaults(kvm, program, accelerator)
        config = (
            running_config(guest, chosen, program.version)
            if running is None
            else replace(running, version=program.version, slots=running.slots or {})
        )
        guest = replace(guest, hvparams={**guest.hvparams, **chosen})
        where = self._guests.runtime_paths(guest.name)
        machine = HostSettings(binary=binary, accelerator=accelerator, places=where)
        incoming = running is not None
        argv = command(
            guest,
            disks,
            machine,
            paused=paused,
            incoming=incoming,
            slots=config.slots or {},
            empty_drives=config.empty_drives,
        )
        await self._files.make_folder(self._folder)
        await self._remove_files(where)
        taps = () if kvm.kvm_net == "user" else tuple(map(tap, guest.nics))
        runtime = GuestRecord(
            name=guest.name,
            memory=guest.memory,
            vcpus=guest.vcpus,
            place=GuestPhase.STARTING,
            paused=paused,
            taps=taps,
            config=config,
        )
        self._guests.save_record(runtime)
        try:
            await self._taps.connect(guest, kvm)
            await self._run_qemu(guest.name, argv)
            self._guests.save_record(self._guests.adopted(runtime))
        except BaseException:
            await self._terminate(self._guests.adopted(runtime))
            raise
        started = self._guests.get(guest.name)
        if started is None or self._guests.process_info(started) is None:
            await self._clean_up(runtime)
            raise Failed(f"QEMU of {guest.name} exited immediately after its start")

    def _find_binary(self, kvm: Kvm) -> str:
        """Return the path of the QEMU program for a guest."""
        folders = MINIMAL_PATH.split(":")
        candidates = (kvm.kvm_path, *(f"{folder}/{_BINARY}" for folder in folders))
        return next((path for path in candidates if self._files.stat(path)), _BINARY)

    async def _run_qemu(self, name: str, argv: Sequence[str]) -> None:
        if self._scopes:
            argv = [*scope_command(name, round(self._clock.seconds() * 1000)), *argv]
        finished = await self._processes.run(argv, timeout=_START_TIMEOUT)
        if finished.code:
            said = (finished.err or finished.out).decode("utf-8", "replace").strip()
            # With -D, QEMU writes errors to its log.
            said = said or self._read_log(name) or f"exit code {finished.code}"
            raise Failed(f"QEMU cannot start {name}: {said}")

    async def _require_not_running(self, name: str) -> None:
        """Remove the record of a guest of this name that has ended.

        :raises Running: if it is alive.
        """
        noted = self._guests.get(name)
        if noted is None:
            return
        # The previous daemon may have been killed before QEMU was ready and its process recorded.
        runtime = self._guests.adopted(noted)
        if self._guests.process_info(runtime) is None:
            await self._clean_up(runtime)
        elif runtime.place is GuestPhase.LEFT:
            await self._terminate(runtime)
        else:
            self._guests.save_record(runtime)
            raise Running(name)

    async def _terminate(self, runtime: GuestRecord) -> None:
        """End the QEMU of a guest, by its monitor if possible, and remove the record of the
        guest."""
        if self._guests.process_info(runtime):
            with suppress(MonitorUnavailable, CommandFailed):
                async with self._connect_monitor(runtime.name) as qemu:
                    await qemu.execute("quit")
                await self._wait_for_exit(runtime, _QUIT_TIMEOUT)
        if self._guests.process_info(runtime):
            self._processes.kill(runtime.pid, signal.SIGKILL)
            await self._wait_for_exit(runtime, _KILL_TIMEOUT)
        if self._guests.process_info(runtime):
            raise Failed(
                f"process {runtime.pid} of instance {runtime.name} was killed but does not end: it"
                " hangs in the kernel; check for a disk that does not respond"
            )
        await self._clean_up(runtime)

    async def _wait_for_exit(self, runtime: GuestRecord, timeout: float) -> None:
        deadline = self._clock.seconds() + timeout
        while self._guests.process_info(runtime) and self._clock.seconds() < deadline:
            await deferLater(self._clock, _POLL_INTERVAL)

    async def _clean_up(self, runtime: GuestRecord) -> None:
        await self._taps.disconnect(runtime.taps)
        await self._remove_files(self._guests.runtime_paths(runtime.name))
        self._guests.remove_record(runtime.name)

    async def _remove_files(self, where: RuntimePaths) -> None:
        for path in where.all_paths:
            if self._files.stat(path) is not None:
                await self._files.remove(path)

    def _connect_monitor(self, name: str) -> AbstractAsyncContextManager[Monitor]:
        return self._monitors.talk(self._guests.runtime_paths(name).qmp)


def _read_parameters(hvparams: Parameters) -> Kvm:
    try:
        return read(hvparams)
    except msgspec.ValidationError as error:
        raise Invalid([Problem("hvparams", str(error))]) from error


def _resolve_defaults(kvm: Kvm, program: QemuProgram, accelerator: Accelerator) -> dict[str, str]:
    """Return the values chosen for parameters that are open; the guest keeps them while it runs."""
    return {
        "machine_version": program.machine(kvm.machine_version),
        "kvm_accel": accelerator.value,
        "cpu_type": cpu_model(kvm, accelerator),
    }


async def _set_capabilities(qemu: Monitor, kvm: Kvm) -> None:
    wanted = [name for name in kvm.migration_caps.split(":") if name]
    if wanted:
        states = [{"capability": name, "state": True} for name in wanted]
        await qemu.execute("migrate-set-capabilities", capabilities=states)


async def _listen_for_migration(qemu: Monitor, kvm: Kvm, address: str) -> str:
    """Let QEMU listen for a migration on the first free port; return address and port."""
    host = f"[{address}]" if ":" in address else address
    for port in range(kvm.migration_port, kvm.migration_port + _MIGRATION_PORTS):
        try:
            await qemu.execute("migrate-incoming", uri=f"tcp:{host}:{port}")
        except CommandFailed as error:
            if "in use" not in str(error):
                raise
        else:
            return f"{host}:{port}"
    last = kvm.migration_port + _MIGRATION_PORTS - 1
    raise Failed(f"no free port from {kvm.migration_port} to {last} at {address}")


def _parse_progress(answer: Mapping[str, object]) -> MigrationProgress:
    """Convert QEMU's migration status."""
    match answer:
        case {"status": "completed", **rest}:
            phase = MigrationPhase.COMPLETED
        case {"status": "failed", **rest}:
            phase = MigrationPhase.FAILED
        case {"status": "cancelled" | "none", **rest}:
            phase = MigrationPhase.CANCELLED
        case {"status": str(), **rest}:
            phase = MigrationPhase.ACTIVE
        case _:
            return MigrationProgress(
                phase=MigrationPhase.FAILED, message="no migration in progress"
            )
    ram = rest.get("ram")
    sizes = ram if isinstance(ram, dict) else {}
    downtime = rest.get("downtime")
    return MigrationProgress(
        phase=phase,
        transferred=int(sizes.get("transferred", 0)),
        total=int(sizes.get("total", 0)),
        downtime_ms=downtime if isinstance(downtime, int) else None,
        message=str(rest.get("error-desc", "")),
    )
