# SPDX-License-Identifier: BSD-2-Clause
"""Starts, stops and moves guests of QEMU; what runs is known without asking them."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from ganeti.errors import Failed, Invalid, Problem, Refused
from ganeti.hypervisor.interfaces import (
    AttachedDisk,
    ConsoleAccess,
    ConsoleKind,
    IHypervisor,
    Phase,
    Running,
    Sending,
)
from ganeti.hypervisor.kvm import check
from ganeti.hypervisor.kvm.accelerator import Accelerators
from ganeti.hypervisor.kvm.command import FIRST_VNC_PORT, Machine, command, read
from ganeti.hypervisor.kvm.control import CommandFailed, Control, Monitors, NoControl
from ganeti.hypervisor.kvm.devices import tap
from ganeti.hypervisor.kvm.guests import Guests, Place, Runtime
from ganeti.hypervisor.kvm.network import Taps
from ganeti.hypervisor.kvm.places import Places
from ganeti.model.guest import Guest, GuestState
from ganeti.model.parameters.kvm import Kvm
from ganeti.schema.records import replace
from ganeti.schema.types import Parameters
from ganeti.system.interfaces import IFiles, INotes, IProcesses

_STARTING = 60.0
_DYING = 10.0
_ARRIVING = 30.0
_LOOK = 0.02
_PORTS = 32
"""How many ports from ``migration_port`` on are tried, for as many guests at the same time."""

_BINARY = "qemu-system-x86_64"
_MIB = 1 << 20


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
        self._guests = Guests(folder, notes, files, processes)

    # --- start and stop

    async def start(
        self, guest: Guest, disks: Sequence[AttachedDisk], *, paused: bool = False
    ) -> None:
        await self._launch(guest, disks, Place.HERE, paused=paused)

    async def stop(self, name: str, *, hard: bool) -> None:
        if hard:
            if (runtime := self._guests.get(name)) and not self._guests.life(runtime):
                await self._forget(runtime)
            await self._end(self._guests.alive(name))
            return
        self._guests.alive(name, Place.HERE)
        async with self._monitor(name) as qemu:
            await qemu.ask("system_powerdown")

    async def reboot(self, guest: Guest) -> None:
        self._guests.alive(guest.name, Place.HERE)
        async with self._monitor(guest.name) as qemu:
            await qemu.ask("system_reset")

    def running(self) -> Mapping[str, GuestState]:
        return self._guests.running()

    async def console(self, guest: Guest) -> ConsoleAccess:
        self._guests.alive(guest.name, Place.HERE)
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

    async def validate(self, hvparams: Parameters) -> None:
        found = list(check.problems(_read(hvparams), self._files))
        if found:
            raise Invalid(found)

    # --- migration

    async def accept(self, guest: Guest, disks: Sequence[AttachedDisk], address: str) -> str:
        kvm = _read(guest.hvparams)
        await self._launch(guest, disks, Place.AWAITED)
        try:
            async with self._monitor(guest.name) as qemu:
                await _set_capabilities(qemu, kvm)
                return await _listen(qemu, kvm, address)
        except BaseException:
            if runtime := self._guests.get(guest.name):
                await self._end(runtime)
            raise

    async def migrate(self, guest: Guest, destination: str, *, live: bool) -> None:
        self._guests.alive(guest.name, Place.HERE)
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

    async def sending(self, guest: Guest) -> Sending:
        runtime = self._guests.alive(guest.name, Place.HERE, Place.LEFT)
        async with self._monitor(guest.name) as qemu:
            found = _sending(await qemu.ask("query-migrate"))
        if found.phase is Phase.COMPLETED and runtime.place is Place.HERE:
            self._guests.keep(replace(runtime, place=Place.LEFT))
        return found

    async def finish_incoming(self, guest: Guest, *, arrived: bool) -> None:
        if not arrived:
            if runtime := self._guests.get(guest.name):
                await self._end(runtime)
            return
        runtime = self._guests.alive(guest.name, Place.AWAITED, Place.HERE)
        async with self._monitor(guest.name) as qemu:
            await self._let_run(qemu, guest.name)
        self._guests.keep(replace(runtime, place=Place.HERE))

    async def finish_outgoing(self, guest: Guest, *, left: bool) -> None:
        if left:
            if runtime := self._guests.get(guest.name):
                await self._end(runtime)
            return
        runtime = self._guests.alive(guest.name, Place.HERE, Place.LEFT)
        async with self._monitor(guest.name) as qemu:
            await self._call_off(qemu)
            await self._let_run(qemu, guest.name)
        self._guests.keep(replace(runtime, place=Place.HERE))

    async def _let_run(self, qemu: Control, name: str) -> None:
        """Let a guest run that was sent, once all of it is there."""
        deadline = self._clock.seconds() + _ARRIVING
        while (status := (await qemu.ask("query-status"))["status"]) == "inmigrate":
            if self._clock.seconds() >= deadline:
                raise Failed(f"{name} did not arrive as a whole within {_ARRIVING:g} s")
            await deferLater(self._clock, _LOOK)
        if status != "running":
            await qemu.ask("cont")

    async def _call_off(self, qemu: Control) -> None:
        deadline = self._clock.seconds() + _DYING
        while _sending(await qemu.ask("query-migrate")).phase is Phase.ACTIVE:
            if self._clock.seconds() >= deadline:
                raise Failed(f"QEMU goes on sending after {_DYING:g} s of being called off")
            await qemu.ask("migrate_cancel")
            await deferLater(self._clock, _LOOK)

    # --- processes

    async def _launch(
        self, guest: Guest, disks: Sequence[AttachedDisk], place: Place, *, paused: bool = False
    ) -> None:
        """Start a QEMU for a guest, or leave nothing of it."""
        await self._forget_dead(guest.name)
        kvm = _read(guest.hvparams)
        if lacks := list(check.missing(kvm)):
            raise Invalid(lacks)
        if reason := check.too_many_disks(kvm, len(disks)):
            raise Refused(f"{guest.name} cannot be started: {reason}")
        where = self._guests.places(guest.name)
        binary = kvm.kvm_path if self._files.stat(kvm.kvm_path) else _BINARY
        accelerator = await self._accelerators.choose(kvm, binary)
        machine = Machine(binary=binary, accelerator=accelerator, places=where)
        incoming = place is Place.AWAITED
        argv = command(guest, disks, machine, paused=paused, incoming=incoming)
        await self._files.make_folder(self._folder)
        await self._remove_files(where)
        taps = () if kvm.kvm_net == "user" else tuple(map(tap, guest.nics))
        runtime = Runtime(
            name=guest.name,
            memory=guest.memory,
            vcpus=guest.vcpus,
            place=Place.STARTING,
            paused=paused,
            taps=taps,
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

    async def _run(self, name: str, argv: Sequence[str]) -> None:
        finished = await self._processes.run(argv, timeout=_STARTING)
        if finished.code:
            said = (finished.err or finished.out).decode("utf-8", "replace").strip()
            raise Failed(f"QEMU cannot start {name}: {said or f'exit code {finished.code}'}")

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
        elif runtime.place is Place.LEFT:
            await self._end(runtime)
        else:
            self._guests.keep(runtime)
            raise Running(name)

    async def _end(self, runtime: Runtime) -> None:
        """End a guest's QEMU, in good order if it listens, and forget the guest."""
        if self._guests.life(runtime):
            with suppress(NoControl, CommandFailed):
                async with self._monitor(runtime.name) as qemu:
                    await qemu.ask("quit")
                await self._gone(runtime)
        if self._guests.life(runtime):
            self._processes.kill(runtime.pid, signal.SIGKILL)
            await self._gone(runtime)
        if self._guests.life(runtime):
            raise Failed(
                f"process {runtime.pid} of instance {runtime.name} does not end although it was"
                " killed: it hangs inside the kernel, look for a disk that does not answer"
            )
        await self._forget(runtime)

    async def _gone(self, runtime: Runtime) -> None:
        deadline = self._clock.seconds() + _DYING
        while self._guests.life(runtime) and self._clock.seconds() < deadline:
            await deferLater(self._clock, _LOOK)

    async def _forget(self, runtime: Runtime) -> None:
        await self._taps.disconnect(runtime.taps)
        await self._remove_files(self._guests.places(runtime.name))
        self._guests.forget(runtime.name)

    async def _remove_files(self, where: Places) -> None:
        for path in where.all:
            if self._files.stat(path) is not None:
                await self._files.remove(path)

    def _monitor(self, name: str) -> AbstractAsyncContextManager[Control]:
        return self._monitors.talk(self._guests.places(name).qmp)


def _read(hvparams: Parameters) -> Kvm:
    try:
        return read(hvparams)
    except msgspec.ValidationError as error:
        raise Invalid([Problem("hvparams", str(error))]) from error


async def _set_capabilities(qemu: Control, kvm: Kvm) -> None:
    wanted = [name for name in kvm.migration_caps.split(":") if name]
    if wanted:
        states = [{"capability": name, "state": True} for name in wanted]
        await qemu.ask("migrate-set-capabilities", capabilities=states)


async def _listen(qemu: Control, kvm: Kvm, address: str) -> str:
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


def _sending(answer: Mapping[str, object]) -> Sending:
    """QEMU's account of a migration in our words."""
    match answer:
        case {"status": "completed", **rest}:
            phase = Phase.COMPLETED
        case {"status": "failed", **rest}:
            phase = Phase.FAILED
        case {"status": "cancelled" | "none", **rest}:
            phase = Phase.CANCELLED
        case {"status": str(), **rest}:
            phase = Phase.ACTIVE
        case _:
            return Sending(phase=Phase.FAILED, message="nothing is being sent")
    ram = rest.get("ram")
    sizes = ram if isinstance(ram, dict) else {}
    downtime = rest.get("downtime")
    return Sending(
        phase=phase,
        transferred=int(sizes.get("transferred", 0)),
        total=int(sizes.get("total", 0)),
        downtime_ms=downtime if isinstance(downtime, int) else None,
        message=str(rest.get("error-desc", "")),
    )
