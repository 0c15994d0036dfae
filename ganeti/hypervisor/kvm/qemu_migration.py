# SPDX-License-Identifier: BSD-2-Clause
"""Live migration of QEMU guests, by QEMU's own protocol between the two nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ganeti.errors import Failed
from ganeti.hypervisor.interfaces import AttachedDisk, MigrationPhase, MigrationProgress
from ganeti.hypervisor.kvm.firmware import FirmwareVariables
from ganeti.hypervisor.kvm.guest_registry import GuestPhase, GuestRegistry
from ganeti.hypervisor.kvm.monitor import CommandFailed, Monitor
from ganeti.hypervisor.kvm.qemu_processes import (
    POLL_INTERVAL,
    QUIT_TIMEOUT,
    QemuProcesses,
    read_parameters,
)
from ganeti.model.guest import Guest
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.running import RunningConfig
from ganeti.schema.records import replace

_INCOMING_TIMEOUT = 60.0
"""How long a guest may take to arrive after its migration has ended at its source, in seconds."""
_MIGRATION_PORTS = 32
"""How many ports from ``migration_port`` on are tried; the limit of concurrent migrations."""
_MIB = 1 << 20


class QemuMigration:
    """The steps of a migration at both of its nodes, see ``IHypervisor``."""

    def __init__(
        self,
        guests: GuestRegistry,
        qemus: QemuProcesses,
        variables: FirmwareVariables,
        clock: IReactorTime,
    ) -> None:
        self._guests = guests
        self._qemus = qemus
        self._variables = variables
        self._clock = clock

    async def accept_guest(
        self,
        guest: Guest,
        disks: Sequence[AttachedDisk],
        address: str,
        running: RunningConfig,
        *,
        seed: bytes | None = None,
    ) -> str:
        """Start QEMU for a guest that will arrive; return the address and port to send it to."""
        kvm = read_parameters(guest.hvparams)
        await self._qemus.launch_guest(guest, disks, running=running, seed=seed)
        try:
            async with self._qemus.connect_monitor(guest.name) as qemu:
                await _set_capabilities(qemu, kvm)
                return await _listen_for_migration(qemu, kvm, address)
        except BaseException:
            if runtime := self._guests.get(guest.name):
                await self._qemus.end_process(runtime)
            raise

    async def send_guest(self, guest: Guest, destination: str, *, live: bool) -> None:
        """Begin to send a guest to the address and port of the target."""
        self._guests.alive(guest.name, GuestPhase.HERE)
        kvm = read_parameters(guest.hvparams)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            await _set_capabilities(qemu, kvm)
            limits = {"downtime_limit": kvm.migration_downtime}
            if kvm.migration_bandwidth:
                limits["max_bandwidth"] = kvm.migration_bandwidth * _MIB
            await qemu.execute("migrate-set-parameters", **limits)
            if not live:
                await qemu.execute("stop")
            await qemu.execute("migrate", uri=f"tcp:{destination}")

    async def query_progress(self, guest: Guest) -> MigrationProgress:
        """Return how far the migration of a guest from here is."""
        runtime = self._guests.alive(guest.name, GuestPhase.HERE, GuestPhase.LEFT)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            found = _parse_progress(await qemu.execute("query-migrate"))
        if found.phase is MigrationPhase.COMPLETED and runtime.place is GuestPhase.HERE:
            self._guests.save_record(replace(runtime, place=GuestPhase.LEFT))
        return found

    async def end_incoming(self, guest: Guest, *, arrived: bool) -> str:
        """Resume a guest that has arrived, or end its QEMU; return what that QEMU had to say."""
        if not arrived:
            said = self._qemus.read_log(guest.name)
            if runtime := self._guests.get(guest.name):
                await self._qemus.end_process(runtime)
                if runtime.place is not GuestPhase.HERE:
                    await self._variables.remove_variables(guest)
            return said
        runtime = self._guests.alive(guest.name, GuestPhase.INCOMING, GuestPhase.HERE)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            await self._resume(qemu, guest.name)
            if runtime.place is GuestPhase.INCOMING:
                await self._qemus.close_log(qemu, guest.name)
        self._guests.save_record(replace(runtime, place=GuestPhase.HERE))
        return ""

    async def end_outgoing(self, guest: Guest, *, left: bool) -> None:
        """End the QEMU of a guest that has left, or resume the guest."""
        if left:
            if runtime := self._guests.get(guest.name):
                await self._qemus.end_process(runtime)
                if runtime.place is GuestPhase.LEFT:
                    # The guest has taken them along, and changes them where it is.
                    await self._variables.remove_variables(guest)
            return
        runtime = self._guests.alive(guest.name, GuestPhase.HERE, GuestPhase.LEFT)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            await self._cancel_migration(qemu)
            await self._resume(qemu, guest.name)
        self._guests.save_record(replace(runtime, place=GuestPhase.HERE))

    async def _resume(self, qemu: Monitor, name: str) -> None:
        """Resume a guest that was migrated, when all of its state has arrived."""
        deadline = self._clock.seconds() + _INCOMING_TIMEOUT
        while (status := (await qemu.execute("query-status"))["status"]) == "inmigrate":
            if self._clock.seconds() >= deadline:
                raise Failed(f"{name} did not arrive completely within {_INCOMING_TIMEOUT:g} s")
            await deferLater(self._clock, POLL_INTERVAL)
        if status != "running":
            await qemu.execute("cont")

    async def _cancel_migration(self, qemu: Monitor) -> None:
        deadline = self._clock.seconds() + QUIT_TIMEOUT
        while _parse_progress(await qemu.execute("query-migrate")).phase is MigrationPhase.ACTIVE:
            if self._clock.seconds() >= deadline:
                raise Failed(f"QEMU did not cancel the migration within {QUIT_TIMEOUT:g} s")
            await qemu.execute("migrate_cancel")
            await deferLater(self._clock, POLL_INTERVAL)


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
