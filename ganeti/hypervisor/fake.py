# SPDX-License-Identifier: BSD-2-Clause
"""Guests that are only a note each: everything but the machine, in microseconds.

For trying a cluster without virtualization, and for tests and measurements of everything else.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

import msgspec
from zope.interface import implementer

from ganeti.hypervisor.guest_records import noted
from ganeti.hypervisor.interfaces import (
    NO_EQUIPMENT,
    AttachedDisk,
    ConsoleAccess,
    ConsoleKind,
    Equipment,
    IHypervisor,
    MigrationPhase,
    MigrationProgress,
    NotRunning,
    Running,
)
from ganeti.model.guest import Guest, GuestState
from ganeti.model.running import RunningConfig, running_config
from ganeti.schema.records import Record, replace
from ganeti.schema.types import Parameters
from ganeti.system.interfaces import INotes

_MIB = 1 << 20


class FakeGuestPhase(enum.StrEnum):
    """Whether a guest is here, on its way to here, or has left."""

    HERE = "here"
    AWAITED = "awaited"
    LEFT = "left"


class FakeGuest(Record):
    """What is noted of a guest."""

    state: GuestState
    place: FakeGuestPhase = FakeGuestPhase.HERE
    reboots: int = 0
    config: RunningConfig | None = None


@implementer(IHypervisor)
class FakeHypervisor:
    """Guests as notes, which are there again when the daemon is."""

    def __init__(self, notes: INotes) -> None:
        self._notes = notes
        self._guests = {
            name: guest for name, guest in noted(notes, FakeGuest).items() if guest is not None
        }

    async def start(
        self, guest: Guest, disks: Sequence[AttachedDisk], *, paused: bool = False
    ) -> None:
        self._new(guest)
        config = running_config(guest, {}, "")
        self._keep(FakeGuest(state=_state(guest, paused), config=config))

    async def stop(self, name: str, *, hard: bool) -> None:
        self._guest(name, *(() if hard else (FakeGuestPhase.HERE,)))
        self._forget(name)

    async def reboot(self, guest: Guest) -> None:
        found = self._guest(guest.name, FakeGuestPhase.HERE)
        self._keep(replace(found, reboots=found.reboots + 1))

    def running(self) -> Mapping[str, GuestState]:
        return {
            name: guest.state
            for name, guest in self._guests.items()
            if guest.place is FakeGuestPhase.HERE
        }

    async def console(self, guest: Guest) -> ConsoleAccess:
        self._guest(guest.name, FakeGuestPhase.HERE)
        message = f"instance {guest.name} is a note of the fake hypervisor: it has no console"
        return ConsoleAccess(kind=ConsoleKind.MESSAGE, message=message)

    async def validate(self, hvparams: Parameters, equipment: Equipment = NO_EQUIPMENT) -> None:
        """Nothing can be wrong."""

    async def version(self, hvparams: Parameters) -> str:
        return ""

    async def running_config(self, guest: Guest) -> RunningConfig:
        found = self._guest(guest.name, FakeGuestPhase.HERE)
        if found.config is not None:
            return found.config
        unknown = running_config(guest, {}, "")
        return replace(unknown, memory=found.state.memory, vcpus=found.state.vcpus)

    async def accept(
        self, guest: Guest, disks: Sequence[AttachedDisk], address: str, running: RunningConfig
    ) -> str:
        self._new(guest)
        self._keep(FakeGuest(state=_state(guest), place=FakeGuestPhase.AWAITED, config=running))
        return f"{address}:0"

    async def migrate(self, guest: Guest, destination: str, *, live: bool) -> None:
        found = self._guest(guest.name, FakeGuestPhase.HERE)
        self._keep(replace(found, place=FakeGuestPhase.LEFT))

    async def sending(self, guest: Guest) -> MigrationProgress:
        found = self._guest(guest.name)
        if found.place is not FakeGuestPhase.LEFT:
            return MigrationProgress(
                phase=MigrationPhase.FAILED, message=f"{guest.name} is not being sent"
            )
        size = found.state.memory * _MIB
        return MigrationProgress(
            phase=MigrationPhase.COMPLETED, transferred=size, total=size, downtime_ms=0
        )

    async def finish_incoming(self, guest: Guest, *, arrived: bool) -> str:
        if arrived:
            found = self._guest(guest.name, FakeGuestPhase.AWAITED, FakeGuestPhase.HERE)
            self._keep(replace(found, place=FakeGuestPhase.HERE))
        elif guest.name in self._guests:
            self._forget(guest.name)
        return ""

    async def finish_outgoing(self, guest: Guest, *, left: bool) -> None:
        if not left:
            self._keep(replace(self._guest(guest.name), place=FakeGuestPhase.HERE))
        elif guest.name in self._guests:
            self._forget(guest.name)

    def _new(self, guest: Guest) -> None:
        if guest.name in self._guests:
            raise Running(guest.name)

    def _guest(self, name: str, *places: FakeGuestPhase) -> FakeGuest:
        found = self._guests.get(name)
        if found is None or (places and found.place not in places):
            raise NotRunning(name)
        return found

    def _keep(self, guest: FakeGuest) -> None:
        self._notes.put(guest.state.name, msgspec.json.encode(guest))
        self._guests[guest.state.name] = guest

    def _forget(self, name: str) -> None:
        self._notes.remove(name)
        del self._guests[name]


def _state(guest: Guest, paused: bool = False) -> GuestState:
    return GuestState(name=guest.name, memory=guest.memory, vcpus=guest.vcpus, paused=paused)
