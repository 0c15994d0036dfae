# SPDX-License-Identifier: BSD-2-Clause
"""Live migration of QEMU guests, by QEMU's own protocol between the two nodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ganeti.errors import Failed
from ganeti.hypervisor.interfaces import AttachedDisk, MigrationPhase, MigrationProgress, NotRunning
from ganeti.hypervisor.kvm.disk_copies import DiskCopies
from ganeti.hypervisor.kvm.firmware import FirmwareVariables
from ganeti.hypervisor.kvm.guest_registry import GuestPhase, GuestRegistry
from ganeti.hypervisor.kvm.migration_capabilities import list_capabilities
from ganeti.hypervisor.kvm.migration_keys import MigrationKeys
from ganeti.hypervisor.kvm.migration_ports import bracket, listen_on_free_port
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
ABANDON_TIMEOUT = 20.0
"""Seconds without a query after which a guest that is paused at the end goes on at its source."""
_PAUSE_TIMEOUT = 0.2
"""How long an answer waits for a guest to be paused whose disks are copied, in seconds."""
_SWITCHOVER_TIMEOUT = 10.0
"""How long an answer waits for the rest of a paused guest to be sent, in seconds."""
_MIB = 1 << 20


class QemuMigration:
    """The steps of a migration at both of its nodes, see ``IHypervisor``.

    A guest that is paused so that the last writes to its disks are copied goes on here if nothing
    queries its progress any more, as the master may have failed.
    """

    _log = Logger()

    def __init__(
        self,
        guests: GuestRegistry,
        qemus: QemuProcesses,
        variables: FirmwareVariables,
        keys: MigrationKeys,
        copies: DiskCopies,
        clock: IReactorTime,
    ) -> None:
        self._guests = guests
        self._qemus = qemus
        self._variables = variables
        self._keys = keys
        self._copies = copies
        self._clock = clock
        self._unqueried: dict[str, IDelayedCall] = {}
        for name in guests.running():
            if keys.has_key(name):
                # An earlier daemon was sending it.
                self._watch(name)

    def _watch(self, name: str) -> None:
        """Look after a guest that is sent with its disks, unless its progress is queried."""
        self._unwatch(name)
        self._unqueried[name] = self._clock.callLater(ABANDON_TIMEOUT, self._look_after, name)

    def _unwatch(self, name: str) -> None:
        call = self._unqueried.pop(name, None)
        if call is not None:
            call.cancel()

    def _look_after(self, name: str) -> None:
        del self._unqueried[name]
        work = Deferred.fromCoroutine(self._end_abandoned(name))
        work.addErrback(
            lambda failure: self._log.failure(
                "the migration of guest {name} cannot be ended", failure, name=name
            )
        )

    async def _end_abandoned(self, name: str) -> None:
        """Let a guest go on here that waits for its last writes to be copied."""
        try:
            self._guests.alive(name, GuestPhase.HERE)
        except NotRunning:
            return
        async with self._qemus.connect_monitor(name) as qemu:
            status = (await qemu.execute("query-migrate")).get("status")
            if status == "pre-switchover":
                self._log.warn("the migration of guest {name} was abandoned; it goes on", name=name)
                await self._stay(qemu, name)
            elif status == "active":
                self._watch(name)

    async def _stay(self, qemu: Monitor, name: str) -> None:
        """End everything that a guest is sent with, and let it run."""
        await self._copies.stop_copying(qemu)
        await self._cancel_migration(qemu)
        await _run(qemu)
        await self._keys.remove_key(qemu, name)

    async def accept_guest(
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
        """Start QEMU for a guest that will arrive; return the address and port to send it to."""
        kvm = read_parameters(guest.hvparams)
        capabilities = list_capabilities(kvm)
        if copies:
            # While the source may write to the disks, this QEMU must not take them.
            capabilities["late-block-activate"] = True
        await self._qemus.launch_guest(guest, disks, running=running, seed=seed, paused=copies)
        try:
            record = self._guests.alive(guest.name)
            async with self._qemus.connect_monitor(guest.name) as qemu:
                await _set_capabilities(qemu, capabilities)
                key = await self._keys.add_key(qemu, record, secret, "server")
                await qemu.execute("migrate-set-parameters", tls_creds=key)
                return await _listen_for_migration(qemu, kvm, address)
        except BaseException:
            if runtime := self._guests.get(guest.name):
                await self._qemus.end_process(runtime)
            raise

    async def send_guest(
        self, guest: Guest, destination: str, *, live: bool, secret: str = ""
    ) -> None:
        """Begin to send a guest to the address and port of the target."""
        runtime = self._guests.alive(guest.name, GuestPhase.HERE)
        kvm = read_parameters(guest.hvparams)
        capabilities = list_capabilities(kvm)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            if await self._copies.list_jobs(qemu):
                capabilities["pause-before-switchover"] = True
                self._watch(guest.name)
            await _set_capabilities(qemu, capabilities)
            key = await self._keys.add_key(qemu, runtime, secret, "client")
            limits: dict[str, object] = {
                "downtime_limit": kvm.migration_downtime,
                # Empty is no encryption.
                "tls_creds": key,
            }
            if kvm.migration_bandwidth:
                limits["max_bandwidth"] = kvm.migration_bandwidth * _MIB
            await qemu.execute("migrate-set-parameters", **limits)
            if not live:
                await qemu.execute("stop")
            await qemu.execute("migrate", uri=f"tcp:{destination}")

    async def query_progress(self, guest: Guest) -> MigrationProgress:
        """Return how far the migration of a guest from here is."""
        runtime = self._guests.alive(guest.name, GuestPhase.HERE, GuestPhase.LEFT)
        # In this time only: the pause must not be ended while it is made use of.
        self._unwatch(guest.name)
        try:
            found = await self._follow(guest.name)
        finally:
            if runtime.place is GuestPhase.HERE and self._keys.has_key(guest.name):
                self._watch(guest.name)
        if found.phase is MigrationPhase.COMPLETED:
            self._unwatch(guest.name)
            if runtime.place is GuestPhase.HERE:
                self._guests.save_record(replace(runtime, place=GuestPhase.LEFT))
        return found

    async def _follow(self, name: str) -> MigrationProgress:
        """Return how far a migration is; if its guest is paused for that, complete it."""
        async with self._qemus.connect_monitor(name) as qemu:
            answer = await qemu.execute("query-migrate")
            if answer.get("status") == "active" and await self._copies.list_jobs(qemu):
                answer = await self._await_pause(qemu)
            if answer.get("status") == "pre-switchover":
                # The guest is paused, and its memory has been sent.
                if problem := await self._copies.complete(qemu):
                    found = _parse_progress(answer)
                    return dataclasses.replace(found, phase=MigrationPhase.FAILED, message=problem)
                answer = await self._continue(qemu)
            return _parse_progress(answer)

    async def _await_pause(self, qemu: Monitor) -> dict[str, object]:
        """Wait a moment for a guest to be paused, which then does not wait for the next query."""
        deadline = self._clock.seconds() + _PAUSE_TIMEOUT
        while True:
            answer: dict[str, object] = await qemu.execute("query-migrate")
            if answer.get("status") != "active" or self._clock.seconds() >= deadline:
                return answer
            await deferLater(self._clock, POLL_INTERVAL)

    async def _continue(self, qemu: Monitor) -> dict[str, object]:
        """Send the rest of a paused guest, whose disks are copied; return how that ended."""
        deadline = self._clock.seconds() + _SWITCHOVER_TIMEOUT
        # Another daemon may have done this before it ended.
        with suppress(CommandFailed):
            await qemu.execute("migrate-continue", state="pre-switchover")
        while True:
            answer: dict[str, object] = await qemu.execute("query-migrate")
            active = _parse_progress(answer).phase is MigrationPhase.ACTIVE
            if not active or self._clock.seconds() >= deadline:
                return answer
            await deferLater(self._clock, POLL_INTERVAL)

    async def end_incoming(self, guest: Guest, *, arrived: bool) -> str:
        """Resume a guest that has arrived, or end its QEMU; return what that QEMU had to say."""
        if not arrived:
            said = self._qemus.read_log(guest.name)
            if runtime := self._guests.get(guest.name):
                await self._qemus.end_process(runtime)
                if runtime.place is not GuestPhase.HERE:
                    await self._variables.remove_variables(guest)
            return said
        record = self._guests.alive(guest.name, GuestPhase.INCOMING, GuestPhase.HERE)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            await self._await_arrival(qemu, guest.name)
            # QEMU cannot run a guest whose disks another one can write to.
            await self._copies.end_receiving(qemu)
            await _run(qemu)
            await self._keys.remove_key(qemu, guest.name)
            if record.place is GuestPhase.INCOMING:
                await self._qemus.close_log(qemu, guest.name)
        self._guests.save_record(replace(record, place=GuestPhase.HERE, paused=False))
        return ""

    async def end_outgoing(self, guest: Guest, *, left: bool) -> None:
        """End the QEMU of a guest that has left, or resume the guest."""
        self._unwatch(guest.name)
        if left:
            if runtime := self._guests.get(guest.name):
                await self._qemus.end_process(runtime)
                if runtime.place is GuestPhase.LEFT:
                    # The guest has taken them along, and changes them where it is.
                    await self._variables.remove_variables(guest)
            return
        runtime = self._guests.alive(guest.name, GuestPhase.HERE, GuestPhase.LEFT)
        async with self._qemus.connect_monitor(guest.name) as qemu:
            await self._stay(qemu, guest.name)
        self._guests.save_record(replace(runtime, place=GuestPhase.HERE))

    async def _await_arrival(self, qemu: Monitor, name: str) -> None:
        """Wait until all of the state of a guest has arrived."""
        deadline = self._clock.seconds() + _INCOMING_TIMEOUT
        while (await qemu.execute("query-status"))["status"] == "inmigrate":
            if self._clock.seconds() >= deadline:
                raise Failed(f"{name} did not arrive completely within {_INCOMING_TIMEOUT:g} s")
            await deferLater(self._clock, POLL_INTERVAL)

    async def _cancel_migration(self, qemu: Monitor) -> None:
        deadline = self._clock.seconds() + QUIT_TIMEOUT
        while _parse_progress(await qemu.execute("query-migrate")).phase is MigrationPhase.ACTIVE:
            if self._clock.seconds() >= deadline:
                raise Failed(f"QEMU did not cancel the migration within {QUIT_TIMEOUT:g} s")
            await qemu.execute("migrate_cancel")
            await deferLater(self._clock, POLL_INTERVAL)


async def _run(qemu: Monitor) -> None:
    """Let a guest run, if it does not."""
    if (await qemu.execute("query-status"))["status"] != "running":
        await qemu.execute("cont")


async def _set_capabilities(qemu: Monitor, wanted: Mapping[str, bool]) -> None:
    if wanted:
        states = [{"capability": name, "state": state} for name, state in wanted.items()]
        await qemu.execute("migrate-set-capabilities", capabilities=states)


async def _listen_for_migration(qemu: Monitor, kvm: Kvm, address: str) -> str:
    """Let QEMU listen for a migration on the first free port; return address and port."""

    async def listen(port: int) -> None:
        await qemu.execute("migrate-incoming", uri=f"tcp:{bracket(address)}:{port}")

    return await listen_on_free_port(listen, kvm, address)


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
