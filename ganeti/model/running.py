# SPDX-License-Identifier: BSD-2-Clause
"""What a guest runs with, beside what is configured for it.

A change of an instance does not change its guest, which keeps what it was started with until it is
stopped, also when it is migrated. So each step decides which of the two it needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ganeti.errors import Refused
from ganeti.model.disk import Disk, DiskMode
from ganeti.model.guest import Guest, GuestNic
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.schema.records import Record, replace
from ganeti.schema.types import Integer, Line, Parameters


class RunningDisk(Record):
    """A disk that a guest was started with. Where its data are may change while the guest runs."""

    uuid: Line
    mode: DiskMode


class RunningConfig(Record):
    """The settings that a guest was started with; ``memory`` in MiB.

    ``chosen`` are values that the hypervisor chose at the start for parameters that leave it a
    choice, such as the versioned machine type that ``pc`` stood for. ``version`` is that of the
    program that runs the guest. OS parameters and secrets of disks are not among the settings.
    """

    memory: Integer
    vcpus: Integer
    hvparams: Parameters
    nics: tuple[GuestNic, ...]
    disks: tuple[RunningDisk, ...]
    network_port: Integer | None = None
    chosen: Parameters = {}
    version: Line = ""


def running_config(guest: Guest, chosen: Parameters, version: str) -> RunningConfig:
    """Return what is recorded of a guest that is started as it is configured."""
    return RunningConfig(
        memory=guest.memory,
        vcpus=guest.vcpus,
        hvparams=guest.hvparams,
        nics=guest.nics,
        disks=tuple(RunningDisk(uuid=disk.uuid, mode=disk.mode) for disk in guest.disks),
        network_port=guest.network_port,
        chosen=chosen,
        version=version,
    )


def as_running(configured: Guest, running: RunningConfig) -> Guest:
    """Return the guest as it runs, for a node that is to receive it.

    What is no part of the guest is taken from the configuration: where its disks are, and the
    parameters that take effect at once.

    :raises Refused: it runs with a disk that the configuration no longer has.
    """
    disks = {disk.uuid: disk for disk in configured.disks}
    if lost := [disk.uuid for disk in running.disks if disk.uuid not in disks]:
        raise Refused(
            f"instance {configured.name} runs with a disk that is no longer configured "
            f"({', '.join(lost)}); restart it: gnt-instance reboot {configured.name}"
        )
    immediate = _immediate(configured)
    now = {name: value for name, value in configured.hvparams.items() if name in immediate}
    memory = {"maxmem": running.memory, "minmem": min(configured.minmem, running.memory)}
    return replace(
        configured,
        hvparams={**running.hvparams, **running.chosen, **now},
        beparams={**configured.beparams, **memory, "vcpus": running.vcpus},
        nics=running.nics,
        disks=tuple(replace(disks[disk.uuid], mode=disk.mode) for disk in running.disks),
        network_port=running.network_port,
    )


def is_older(version: str, other: str) -> bool:
    """Return whether a version of a hypervisor's program is older than another one.

    The first two numbers count, as QEMU changes nothing that guests see in a stable series. A
    version that is not known is not older.
    """
    first, second = _numbers(version), _numbers(other)
    return bool(first and second) and first < second


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else ()


@dataclass(frozen=True)
class PendingChange:
    """A setting that a running guest gets at its next start; None stands for not there."""

    name: str
    running: Any
    configured: Any

    def __str__(self) -> str:
        return f"{self.name}: {_text(self.running)} now, {_text(self.configured)} then"


def _text(value: Any) -> str:
    return "none" if value in (None, "") else str(value)


def pending_changes(running: RunningConfig, configured: Guest) -> tuple[PendingChange, ...]:
    """Return what a guest does not run with yet, in the words of ``gnt-instance modify``."""
    return tuple(
        change for change in _changes(running, configured) if change.running != change.configured
    )


def _changes(running: RunningConfig, configured: Guest) -> Iterator[PendingChange]:
    yield PendingChange("be/maxmem", running.memory, configured.memory)
    yield PendingChange("be/vcpus", running.vcpus, configured.vcpus)
    for name in sorted(running.hvparams.keys() & configured.hvparams.keys()):
        now, then = running.hvparams[name], configured.hvparams[name]
        if now != then and name not in _immediate(configured):
            yield PendingChange(f"hv/{name}", running.chosen.get(name) or now, then)
    yield PendingChange("network_port", running.network_port, configured.network_port)
    yield from _nics({nic.uuid: nic for nic in running.nics}, configured)
    yield from _disks({disk.uuid: disk for disk in running.disks}, configured.disks)


def _nics(running: Mapping[str, GuestNic], configured: Guest) -> Iterator[PendingChange]:
    for index, nic in enumerate(configured.nics):
        if (before := running.get(nic.uuid)) is None:
            yield PendingChange(f"nic/{index}", None, nic.mac)
            continue
        for name in ("mac", "mode", "link", "vlan", *(("ip",) if nic.mode == "routed" else ())):
            yield PendingChange(f"nic.{name}/{index}", getattr(before, name), getattr(nic, name))
    for uuid in running.keys() - {nic.uuid for nic in configured.nics}:
        yield PendingChange("nic", running[uuid].mac, None)


def _disks(
    running: Mapping[str, RunningDisk], configured: tuple[Disk, ...]
) -> Iterator[PendingChange]:
    for index, disk in enumerate(configured):
        if (before := running.get(disk.uuid)) is None:
            yield PendingChange(f"disk/{index}", None, f"{disk.size} MiB")
        else:
            yield PendingChange(f"disk.mode/{index}", before.mode.value, disk.mode.value)
    for uuid in running.keys() - {disk.uuid for disk in configured}:
        yield PendingChange("disk", uuid, None)


def _immediate(guest: Guest) -> frozenset[str]:
    kind = HYPERVISORS.get(guest.hypervisor)
    return kind.immediate if kind else frozenset()
