# SPDX-License-Identifier: BSD-2-Clause
"""The *fake* hypervisor: starts no virtual machine, only records the state of guests.

For trying a cluster without virtualization, and for tests and measurements of all other parts.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence

import msgspec
from zope.interface import implementer

from ganeti.hypervisor.guest_records import noted
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
    NotRunning,
    Running,
    more_than_started,
    no_screen,
)
from ganeti.model.guest import Counters, Guest, GuestNic, GuestState
from ganeti.model.running import (
    RunningConfig,
    running_config,
    with_disk,
    with_nic,
    without_device,
)
from ganeti.schema.records import Record, replace
from ganeti.schema.types import Parameters
from ganeti.system.interfaces import IStateFiles

_MIB = 1 << 20


class FakeGuestPhase(enum.StrEnum):
    """The phase of a guest: present, awaited by a migration, or migrated away."""

    HERE = "here"
    INCOMING = "awaited"
    LEFT = "left"


class FakeGuest(Record):
    """The record of a guest."""

    state: GuestState
    place: FakeGuestPhase = FakeGuestPhase.HERE
    reboots: int = 0
    config: RunningConfig | None = None


@implementer(IHypervisor)
class FakeHypervisor:
    """Guests as records, which survive a restart of the daemon."""

    def __init__(self, notes: IStateFiles) -> None:
        self._notes = notes
        self._guests = {
            name: guest for name, guest in noted(notes, FakeGuest).items() if guest is not None
        }
        self._running: Mapping[str, GuestState] | None = None

    async def start(
        self,
        guest: Guest,
        disks: Sequence[AttachedDisk],
        *,
        paused: bool = False,
        seed: bytes | None = None,
    ) -> None:
        self._require_new(guest)
        config = running_config(guest, {}, "", seed=seed is not None)
        self._store(FakeGuest(state=_state(guest, paused), config=config))

    async def stop(self, name: str, *, hard: bool) -> None:
        # A hard stop also ends what a failed migration has left.
        self._require_guest(name, *(() if hard else (FakeGuestPhase.HERE,)))
        self._remove(name)

    def present(self) -> frozenset[str]:
        return frozenset(self._guests)

    async def kill(self, names: Collection[str]) -> None:
        for name in self.present().intersection(names):
            self._remove(name)

    async def reboot(self, guest: Guest) -> None:
        found = self._require_guest(guest.name, FakeGuestPhase.HERE)
        self._store(replace(found, reboots=found.reboots + 1))

    def running(self) -> Mapping[str, GuestState]:
        if self._running is None:
            self._running = {
                name: guest.state
                for name, guest in self._guests.items()
                if guest.place is FakeGuestPhase.HERE
            }
        return self._running

    def counters(self) -> Mapping[str, Counters]:
        # A guest on paper has its memory, and does nothing.
        return {name: Counters(memory=each.memory << 20) for name, each in self.running().items()}

    async def console(self, guest: Guest) -> ConsoleAccess:
        self._require_guest(guest.name, FakeGuestPhase.HERE)
        message = (
            f"instance {guest.name} has no console: the fake hypervisor only records its state"
        )
        return ConsoleAccess(kind=ConsoleKind.MESSAGE, message=message)

    async def console_sockets(self, guest: Guest) -> Mapping[ConsoleStream, ConsoleSocket]:
        self._require_guest(guest.name, FakeGuestPhase.HERE)
        return {}

    async def change_media(self, guest: Guest, *, force: bool) -> None:
        self._require_guest(guest.name, FakeGuestPhase.HERE)

    async def find_hotplug_problem(self, guest: Guest) -> str:
        self._require_guest(guest.name, FakeGuestPhase.HERE)
        return ""

    async def plug(self, guest: Guest, device: AttachedDisk | GuestNic) -> None:
        found = self._require_guest(guest.name, FakeGuestPhase.HERE)
        running = await self.running_config(guest)
        if isinstance(device, AttachedDisk):
            running = with_disk(running, device.disk)
        else:
            running = with_nic(running, device)
        self._store(replace(found, config=running))

    async def unplug(self, guest: Guest, uuid: str) -> None:
        found = self._require_guest(guest.name, FakeGuestPhase.HERE)
        running = await self.running_config(guest)
        self._store(replace(found, config=without_device(running, uuid)))

    async def set_memory(self, guest: Guest, memory: int) -> None:
        found = self._require_guest(guest.name, FakeGuestPhase.HERE)
        running = await self.running_config(guest)
        if memory > running.memory:
            raise more_than_started(guest.name, running.memory, memory)
        state, config = replace(found.state, memory=memory), replace(running, current_memory=memory)
        self._store(replace(found, state=state, config=config))

    async def screenshot(self, guest: Guest) -> bytes:
        self._require_guest(guest.name, FakeGuestPhase.HERE)
        raise no_screen(guest.name)

    async def validate(self, hvparams: Parameters, equipment: GuestDevices = NO_DEVICES) -> None:
        """Accept all parameters."""

    async def version(self, hvparams: Parameters) -> str:
        return ""

    async def read_firmware_variables(self, guest: Guest) -> bytes:
        return b""

    async def store_firmware_variables(self, guest: Guest, content: bytes) -> None:
        self._require_new(guest)

    async def running_config(self, guest: Guest) -> RunningConfig:
        found = self._require_guest(guest.name, FakeGuestPhase.HERE)
        if found.config is not None:
            return found.config
        unknown = running_config(guest, {}, "")
        return replace(unknown, memory=found.state.memory, vcpus=found.state.vcpus)

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
        self._require_new(guest)
        state = replace(_state(guest), memory=running.used_memory)
        self._store(FakeGuest(state=state, place=FakeGuestPhase.INCOMING, config=running))
        return f"{address}:0"

    async def migrate(
        self, guest: Guest, destination: str, *, live: bool, secret: str = ""
    ) -> None:
        found = self._require_guest(guest.name, FakeGuestPhase.HERE)
        self._store(replace(found, place=FakeGuestPhase.LEFT))

    async def sending(self, guest: Guest) -> MigrationProgress:
        found = self._require_guest(guest.name)
        if found.place is not FakeGuestPhase.LEFT:
            return MigrationProgress(
                phase=MigrationPhase.FAILED, message=f"{guest.name} is not being migrated"
            )
        size = found.state.memory * _MIB
        return MigrationProgress(
            phase=MigrationPhase.COMPLETED, transferred=size, total=size, downtime_ms=0
        )

    async def finish_incoming(self, guest: Guest, *, arrived: bool) -> str:
        if arrived:
            found = self._require_guest(guest.name, FakeGuestPhase.INCOMING, FakeGuestPhase.HERE)
            self._store(replace(found, place=FakeGuestPhase.HERE))
        elif guest.name in self._guests:
            self._remove(guest.name)
        return ""

    async def finish_outgoing(self, guest: Guest, *, left: bool) -> None:
        if not left:
            self._store(replace(self._require_guest(guest.name), place=FakeGuestPhase.HERE))
        elif guest.name in self._guests:
            self._remove(guest.name)

    def _require_new(self, guest: Guest) -> None:
        if guest.name in self._guests:
            raise Running(guest.name)

    def _require_guest(self, name: str, *places: FakeGuestPhase) -> FakeGuest:
        found = self._guests.get(name)
        if found is None or (places and found.place not in places):
            raise NotRunning(name)
        return found

    def _store(self, guest: FakeGuest) -> None:
        self._notes.put(guest.state.name, msgspec.json.encode(guest))
        self._guests[guest.state.name] = guest
        self._running = None

    def _remove(self, name: str) -> None:
        self._notes.remove(name)
        del self._guests[name]
        self._running = None


def _state(guest: Guest, paused: bool = False) -> GuestState:
    return GuestState(name=guest.name, memory=guest.memory, vcpus=guest.vcpus, paused=paused)
