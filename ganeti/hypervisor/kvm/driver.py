# SPDX-License-Identifier: BSD-2-Clause
"""Starts, stops and moves guests of QEMU; what runs is known without asking them."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from ganeti.errors import Failed, Invalid, Problem, Refused
from ganeti.hypervisor.interfaces import (
    NO_EQUIPMENT,
    AttachedDisk,
    ConsoleAccess,
    ConsoleKind,
    Equipment,
    IHypervisor,
    MigrationPhase,
    MigrationProgress,
    Running,
)
from ganeti.hypervisor.kvm import requirements
from ganeti.hypervisor.kvm.accelerator import Accelerators
from ganeti.hypervisor.kvm.command import (
    FIRST_VNC_PORT,
    Accelerator,
    Machine,
    command,
    cpu_model,
    read,
)
from ganeti.hypervisor.kvm.devices import tap
from ganeti.hypervisor.kvm.guests import GuestPhase, Guests, Runtime
from ganeti.hypervisor.kvm.monitor import CommandFailed, Monitor, Monitors, NoMonitor
from ganeti.hypervisor.kvm.network import Taps
from ganeti.hypervisor.kvm.programs import QemuProgram, QemuPrograms
from ganeti.hypervisor.kvm.runtime_paths import RuntimePaths
from ganeti.model.guest import CheckScope, Guest, GuestState
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.running import RunningConfig, running_config
from ganeti.schema.records import replace
from ganeti.schema.types import Parameters
from ganeti.system.interfaces import MINIMAL_PATH, IFiles, INotes, IProcesses

_STARTING = 600.0
"""Seconds for QEMU to get ready, which includes the allocation of all memory with ``mem_path``."""
_QUITTING = 30.0
_DYING = 120.0
"""Seconds for a process to end that was told to, or killed: much memory is not freed at once."""
_ARRIVING = 60.0
_LOOK = 0.02
_PORTS = 32
"""How many ports from ``migration_port`` on are tried, for as many guests at the same time."""

_BINARY = "qemu-system-x86_64"
_MIB = 1 << 20
_PROGRAM = re.compile(r"^\S*qemu\S*: ")
"""What QEMU begins the lines of its log with."""
_MAX_LOG = 1000
"""How many characters at the end of a QEMU's log go into a message."""


@implementer(IHypervisor)
class KvmHypervisor:
    """Guests of QEMU; their sockets are in ``folder``, their consoles reached by ``attach``."""

    def __init__(
        self,
        *,
        folder: str,
        notes: INotes,
        files: IFiles,
        processes: IProcesses,
        monitors: Monitors,
        accelerators: Accelerators,
        clock: IReactorTime,
        attach: Sequence[str],
    ) -> None:
        self._folder = folder
        self._files = files
        self._processes = processes
        self._monitors = monitors
        self._accelerators = accelerators
        self._clock = clock
        self._attach = tuple(attach)
        self._taps = Taps(files, processes)
        self._programs = QemuPrograms(files, processes)
        self._guests = Guests(folder, notes, files, processes)

    # --- start and stop

    async def start(
        self, guest: Guest, disks: Sequence[AttachedDisk], *, paused: bool = False
    ) -> None:
        await self._launch(guest, disks, paused=paused)

    async def stop(self, name: str, *, hard: bool) -> None:
        if hard:
            if (runtime := self._guests.get(name)) and not self._guests.life(runtime):
                await self._forget(runtime)
            await self._end(self._guests.alive(name))
            return
        self._guests.alive(name, GuestPhase.HERE)
        async with self._monitor(name) as qemu:
            await qemu.ask("system_powerdown")

    async def reboot(self, guest: Guest) -> None:
        self._guests.alive(guest.name, GuestPhase.HERE)
        async with self._monitor(guest.name) as qemu:
            await qemu.ask("system_reset")

    def running(self) -> Mapping[str, GuestState]:
        return self._guests.running()

    async def console(self, guest: Guest) -> ConsoleAccess:
        config = self._guests.alive(guest.name, GuestPhase.HERE).config
        if config is not None:
            guest = replace(guest, hvparams=config.hvparams, network_port=config.network_port)
        kvm = read(guest.hvparams)
        if kvm.serial_console:
            socket = self._guests.places(guest.name).serial
            return ConsoleAccess(kind=ConsoleKind.SSH, command=(*self._attach, socket))
        address, port = kvm.vnc_bind_address, guest.network_port
        if address and not address.startswith("/") and port is not None:
            host = None if address in ("0.0.0.0", "::") else address
            display = str(port - FIRST_VNC_PORT)
            return ConsoleAccess(kind=ConsoleKind.VNC, host=host, port=port, display=display)
        message = (
            f"instance {guest.name} has no console: set the hypervisor parameter serial_console"
            " or vnc_bind_address and stop and start it"
        )
        return ConsoleAccess(kind=ConsoleKind.MESSAGE, message=message)

    async def validate(self, hvparams: Parameters, equipment: Equipment = NO_EQUIPMENT) -> None:
        kvm = _read(hvparams)
        try:
            program = await self._programs.describe(self._binary(kvm))
        except Failed:  # the start of a guest will say so
            program = None
        found = list(requirements.problems(kvm, equipment, self._files, program))
        if found:
            raise Invalid(found)

    async def version(self, hvparams: Parameters) -> str:
        return (await self._programs.describe(self._binary(_read(hvparams)))).version

    async def running_config(self, guest: Guest) -> RunningConfig:
        runtime = self._guests.alive(guest.name, GuestPhase.HERE)
        if runtime.config is not None:
            return runtime.config
        # An older version started it, and noted no more than this.
        async with self._monitor(guest.name) as qemu:
            machine = await qemu.ask("qom-get", path="/machine", property="type")
        arguments = self._processes.arguments(runtime.pid)
        software = any(f"accel={Accelerator.TCG.value}" in each for each in arguments)
        accelerator = Accelerator.TCG if software else Accelerator.KVM
        chosen = {
            "machine_version": str(machine).removesuffix("-machine"),
            "kvm_accel": accelerator.value,
            "cpu_type": cpu_model(_read(guest.hvparams), accelerator),
        }
        return replace(
            running_config(guest, chosen, ""), memory=runtime.memory, vcpus=runtime.vcpus
        )

    # --- migration

    async def accept(
        self, guest: Guest, disks: Sequence[AttachedDisk], address: str, running: RunningConfig
    ) -> str:
        kvm = _read(guest.hvparams)
        await self._launch(guest, disks, running=running)
        try:
            async with self._monitor(guest.name) as qemu:
                await _set_capabilities(qemu, kvm)
                return await _listen(qemu, kvm, address)
        except BaseException:
            if runtime := self._guests.get(guest.name):
                await self._end(runtime)
            raise

    async def migrate(self, guest: Guest, destination: str, *, live: bool) -> None:
        self._guests.alive(guest.name, GuestPhase.HERE)
        kvm = _read(guest.hvparams)
        async with self._monitor(guest.name) as qemu:
            await _set_capabilities(qemu, kvm)
            limits = {"downtime_limit": kvm.migration_downtime}
            if kvm.migration_bandwidth:
                limits["max_bandwidth"] = kvm.migration_bandwidth * _MIB
            await qemu.ask("migrate-set-parameters", **limits)
            if not live:
                await qemu.ask("stop")
            await qemu.ask("migrate", uri=f"tcp:{destination}")

    async def sending(self, guest: Guest) -> MigrationProgress:
        runtime = self._guests.alive(guest.name, GuestPhase.HERE, GuestPhase.LEFT)
        async with self._monitor(guest.name) as qemu:
            found = _sending(await qemu.ask("query-migrate"))
        if found.phase is MigrationPhase.COMPLETED and runtime.place is GuestPhase.HERE:
            self._guests.keep(replace(runtime, place=GuestPhase.LEFT))
        return found

    async def finish_incoming(self, guest: Guest, *, arrived: bool) -> str:
        if not arrived:
            said = self._log_of(guest.name)
            if runtime := self._guests.get(guest.name):
                await self._end(runtime)
            return said
        runtime = self._guests.alive(guest.name, GuestPhase.AWAITED, GuestPhase.HERE)
        async with self._monitor(guest.name) as qemu:
            await self._let_run(qemu, guest.name)
            if runtime.place is GuestPhase.AWAITED:
                await self._close_log(qemu, guest.name)
        self._guests.keep(replace(runtime, place=GuestPhase.HERE))
        return ""

    async def finish_outgoing(self, guest: Guest, *, left: bool) -> None:
        if left:
            if runtime := self._guests.get(guest.name):
                await self._end(runtime)
            return
        runtime = self._guests.alive(guest.name, GuestPhase.HERE, GuestPhase.LEFT)
        async with self._monitor(guest.name) as qemu:
            await self._call_off(qemu)
            await self._let_run(qemu, guest.name)
        self._guests.keep(replace(runtime, place=GuestPhase.HERE))

    async def _let_run(self, qemu: Monitor, name: str) -> None:
        """Let a guest run that was sent, once all of it is there."""
        deadline = self._clock.seconds() + _ARRIVING
        while (status := (await qemu.ask("query-status"))["status"]) == "inmigrate":
            if self._clock.seconds() >= deadline:
                raise Failed(f"{name} did not arrive as a whole within {_ARRIVING:g} s")
            await deferLater(self._clock, _LOOK)
        if status != "running":
            await qemu.ask("cont")

    def _log_of(self, name: str) -> str:
        """What the QEMU of an awaited guest wrote last, as one line."""
        path = self._guests.places(name).log
        if self._files.stat(path) is None:
            return ""
        text = self._files.read(path).decode("utf-8", "replace")
        lines = [_PROGRAM.sub("", line) for line in text.splitlines() if line.strip()]
        return "; ".join(lines)[-_MAX_LOG:]

    async def _close_log(self, qemu: Monitor, name: str) -> None:
        """Let QEMU write no log any more, which a guest could make grow."""
        with suppress(CommandFailed):
            await qemu.ask("human-monitor-command", command_line="logfile /dev/null")
        path = self._guests.places(name).log
        if self._files.stat(path) is not None:
            await self._files.remove(path)

    async def _call_off(self, qemu: Monitor) -> None:
        deadline = self._clock.seconds() + _QUITTING
        while _sending(await qemu.ask("query-migrate")).phase is MigrationPhase.ACTIVE:
            if self._clock.seconds() >= deadline:
                raise Failed(f"QEMU goes on sending after {_QUITTING:g} s of being called off")
            await qemu.ask("migrate_cancel")
            await deferLater(self._clock, _LOOK)

    # --- processes

    async def _launch(
        self,
        guest: Guest,
        disks: Sequence[AttachedDisk],
        *,
        paused: bool = False,
        running: RunningConfig | None = None,
    ) -> None:
        """Start a QEMU for a guest, or leave nothing of it.

        With ``running`` it awaits a guest that was started elsewhere, and is as that says.
        """
        await self._forget_dead(guest.name)
        kvm = _read(guest.hvparams)
        binary = self._binary(kvm)
        program = await self._programs.describe(binary)
        scope = CheckScope.ALL if running is None else CheckScope.RUNNING
        equipment = Equipment(guest.nics, len(disks), scope)
        if found := list(requirements.problems(kvm, equipment, self._files, program)):
            raise Refused(f"{guest.name} cannot run on this node: {Invalid(found)}")
        accelerator = await self._accelerators.choose(kvm, binary)
        chosen = _choices(kvm, program, accelerator)
        config = (
            running_config(guest, chosen, program.version)
            if running is None
            else replace(running, version=program.version)
        )
        guest = replace(guest, hvparams={**guest.hvparams, **chosen})
        where = self._guests.places(guest.name)
        machine = Machine(binary=binary, accelerator=accelerator, places=where)
        incoming = running is not None
        argv = command(guest, disks, machine, paused=paused, incoming=incoming)
        await self._files.make_folder(self._folder)
        await self._remove_files(where)
        taps = () if kvm.kvm_net == "user" else tuple(map(tap, guest.nics))
        runtime = Runtime(
            name=guest.name,
            memory=guest.memory,
            vcpus=guest.vcpus,
            place=GuestPhase.STARTING,
            paused=paused,
            taps=taps,
            config=config,
        )
        self._guests.keep(runtime)
        try:
            await self._taps.connect(guest, kvm)
            await self._run(guest.name, argv)
            self._guests.keep(self._guests.adopted(runtime))
        except BaseException:
            await self._end(self._guests.adopted(runtime))
            raise
        started = self._guests.get(guest.name)
        if started is None or self._guests.life(started) is None:
            await self._forget(runtime)
            raise Failed(f"QEMU of {guest.name} ended as soon as it was started")

    def _binary(self, kvm: Kvm) -> str:
        """The QEMU program of this node for a guest."""
        folders = MINIMAL_PATH.split(":")
        candidates = (kvm.kvm_path, *(f"{folder}/{_BINARY}" for folder in folders))
        return next((path for path in candidates if self._files.stat(path)), _BINARY)

    async def _run(self, name: str, argv: Sequence[str]) -> None:
        finished = await self._processes.run(argv, timeout=_STARTING)
        if finished.code:
            said = (finished.err or finished.out).decode("utf-8", "replace").strip()
            # One that has a log writes there instead.
            said = said or self._log_of(name) or f"exit code {finished.code}"
            raise Failed(f"QEMU cannot start {name}: {said}")

    async def _forget_dead(self, name: str) -> None:
        """Make room for a guest of this name.

        :raises Running: there is one that is alive.
        """
        noted = self._guests.get(name)
        if noted is None:
            return
        # The daemon before may have been killed so early that its QEMU came up only now.
        runtime = self._guests.adopted(noted)
        if self._guests.life(runtime) is None:
            await self._forget(runtime)
        elif runtime.place is GuestPhase.LEFT:
            await self._end(runtime)
        else:
            self._guests.keep(runtime)
            raise Running(name)

    async def _end(self, runtime: Runtime) -> None:
        """End a guest's QEMU, in good order if it listens, and forget the guest."""
        if self._guests.life(runtime):
            with suppress(NoMonitor, CommandFailed):
                async with self._monitor(runtime.name) as qemu:
                    await qemu.ask("quit")
                await self._gone(runtime, _QUITTING)
        if self._guests.life(runtime):
            self._processes.kill(runtime.pid, signal.SIGKILL)
            await self._gone(runtime, _DYING)
        if self._guests.life(runtime):
            raise Failed(
                f"process {runtime.pid} of instance {runtime.name} does not end although it was"
                " killed: it hangs inside the kernel, look for a disk that does not answer"
            )
        await self._forget(runtime)

    async def _gone(self, runtime: Runtime, timeout: float) -> None:
        deadline = self._clock.seconds() + timeout
        while self._guests.life(runtime) and self._clock.seconds() < deadline:
            await deferLater(self._clock, _LOOK)

    async def _forget(self, runtime: Runtime) -> None:
        await self._taps.disconnect(runtime.taps)
        await self._remove_files(self._guests.places(runtime.name))
        self._guests.forget(runtime.name)

    async def _remove_files(self, where: RuntimePaths) -> None:
        for path in where.all:
            if self._files.stat(path) is not None:
                await self._files.remove(path)

    def _monitor(self, name: str) -> AbstractAsyncContextManager[Monitor]:
        return self._monitors.talk(self._guests.places(name).qmp)


def _read(hvparams: Parameters) -> Kvm:
    try:
        return read(hvparams)
    except msgspec.ValidationError as error:
        raise Invalid([Problem("hvparams", str(error))]) from error


def _choices(kvm: Kvm, program: QemuProgram, accelerator: Accelerator) -> dict[str, str]:
    """What a guest is given where its parameters leave a choice, and keeps while it runs."""
    return {
        "machine_version": program.machine(kvm.machine_version),
        "kvm_accel": accelerator.value,
        "cpu_type": cpu_model(kvm, accelerator),
    }


async def _set_capabilities(qemu: Monitor, kvm: Kvm) -> None:
    wanted = [name for name in kvm.migration_caps.split(":") if name]
    if wanted:
        states = [{"capability": name, "state": True} for name in wanted]
        await qemu.ask("migrate-set-capabilities", capabilities=states)


async def _listen(qemu: Monitor, kvm: Kvm, address: str) -> str:
    """Let QEMU await a guest at the first port that is free; answer address and port."""
    host = f"[{address}]" if ":" in address else address
    for port in range(kvm.migration_port, kvm.migration_port + _PORTS):
        try:
            await qemu.ask("migrate-incoming", uri=f"tcp:{host}:{port}")
        except CommandFailed as error:
            if "in use" not in str(error):
                raise
        else:
            return f"{host}:{port}"
    last = kvm.migration_port + _PORTS - 1
    raise Failed(f"no port from {kvm.migration_port} to {last} is free at {address}")


def _sending(answer: Mapping[str, object]) -> MigrationProgress:
    """QEMU's account of a migration in our words."""
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
            return MigrationProgress(phase=MigrationPhase.FAILED, message="nothing is being sent")
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
