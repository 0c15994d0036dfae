# SPDX-License-Identifier: BSD-2-Clause
"""The settings that a running guest was started with, and how they differ from its configuration.

A change of an instance does not change its running guest, which keeps the settings of its start,
also when it is migrated. Each step has to decide whether it needs the running or the configured
settings.
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
from ganeti.model.traffic_rules import NO_RULES, TrafficRules
from ganeti.schema.records import Record, replace
from ganeti.schema.types import Integer, Line, Parameters


class RunningDisk(Record):
    """A disk that a guest was started with; the location of its data may change while it runs."""

    uuid: Line
    mode: DiskMode


GANETI = "Ganeti"
"""What has started guests of a cluster that was taken over."""


class RunningConfig(Record, omit_defaults=True):
    """The settings that a guest was started with; ``memory`` in MiB.

    ``chosen`` has values that the hypervisor chose at the start where a parameter leaves a choice,
    such as the versioned machine type for ``pc``. ``version`` is the version of the hypervisor
    program. ``started_by`` names other software that has started it, which gives guests other
    virtual devices. ``empty_drives`` are the parameters of CD drives that became empty while the
    guest was running: it still has the drives. OS parameters and disk secrets are not included.

    ``slots`` are the bus addresses of virtual devices by their ids. They are recorded once a device
    has been added or removed while the guest runs: until then, the order of the devices determines
    them. It is None for a guest that was started by a version which gave its devices no ids. A
    machine with PCI Express has that many root ``ports``; the slot of a device behind one is its
    name. ``seed`` is whether it has a volume for its first boot. ``forwards`` are the addresses of
    its node that are forwarded to ports of the guest, such as ``127.0.0.1:40123 to port 22``.

    ``balloon`` is whether it has a memory balloon. ``current_memory`` is what it has of its memory
    since that was changed while it runs, in MiB.
    """

    memory: Integer
    vcpus: Integer
    hvparams: Parameters
    nics: tuple[GuestNic, ...]
    disks: tuple[RunningDisk, ...]
    network_port: Integer | None = None
    chosen: Parameters = {}
    version: Line = ""
    started_by: Line = ""
    slots: Mapping[Line, Line] | None = None
    empty_drives: tuple[Line, ...] = ()
    seed: bool = False
    ports: Integer = 0
    forwards: tuple[Line, ...] = ()
    balloon: bool = False
    current_memory: Integer | None = None

    @property
    def used_memory(self) -> int:
        """The memory that the guest has now, in MiB."""
        return self.memory if self.current_memory is None else self.current_memory


def require_migratable(running: RunningConfig, name: str) -> None:
    """Check that this software can create a virtual machine that receives the guest ``name``.

    :raises Refused: other software has started it.
    """
    if running.started_by:
        raise Refused(
            f"instance {name} was started by {running.started_by}, with other virtual devices, and"
            f" cannot be migrated before a restart: gnt-instance reboot {name}, or move it with a"
            f" restart: gnt-instance failover {name}"
        )


def running_config(
    guest: Guest, chosen: Parameters, version: str, *, seed: bool = False
) -> RunningConfig:
    """Return the record for a guest that is started with its configured settings."""
    return RunningConfig(
        memory=guest.memory,
        vcpus=guest.vcpus,
        hvparams=guest.hvparams,
        nics=guest.nics,
        disks=tuple(RunningDisk(uuid=disk.uuid, mode=disk.mode) for disk in guest.disks),
        network_port=guest.network_port,
        chosen=chosen,
        version=version,
        slots={},
        seed=seed,
    )


def apply_running_config(configured: Guest, running: RunningConfig) -> Guest:
    """Return the guest with its running settings, for a node that will receive it.

    The location of its disks and parameters that take effect at once come from the configuration.

    :raises Refused: the guest uses a disk that is no longer configured.
    """
    disks = {disk.uuid: disk for disk in configured.disks}
    if lost := [disk.uuid for disk in running.disks if disk.uuid not in disks]:
        raise Refused(
            f"instance {configured.name} is running with a disk that is no longer configured "
            f"({', '.join(lost)}); reboot it: gnt-instance reboot {configured.name}"
        )
    immediate = _immediate_parameters(configured)
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


def with_disk(running: RunningConfig, disk: Disk) -> RunningConfig:
    """Return the settings of a guest after ``disk`` was added to it while it runs."""
    others = tuple(each for each in running.disks if each.uuid != disk.uuid)
    return replace(running, disks=(*others, RunningDisk(uuid=disk.uuid, mode=disk.mode)))


def with_nic(running: RunningConfig, nic: GuestNic) -> RunningConfig:
    """Return the settings of a guest after ``nic`` was added to it or changed while it runs."""
    if nic.uuid not in {each.uuid for each in running.nics}:
        return replace(running, nics=(*running.nics, nic))
    changed = tuple(nic if each.uuid == nic.uuid else each for each in running.nics)
    return replace(running, nics=changed)


def connect_as(running: RunningConfig, configured: Guest) -> RunningConfig:
    """Return the settings with cards of networks connected to the links that are configured.

    For a node of another node group, where the networks have other links.
    """
    links = {nic.uuid: nic for nic in configured.nics if nic.network is not None}
    nics = tuple(
        replace(nic, mode=there.mode, link=there.link, vlan=there.vlan)
        if nic.network is not None and (there := links.get(nic.uuid)) is not None
        else nic
        for nic in running.nics
    )
    return replace(running, nics=nics)


def without_device(running: RunningConfig, uuid: str) -> RunningConfig:
    """Return the settings of a guest after a disk or network card was removed from it."""
    return replace(
        running,
        disks=tuple(each for each in running.disks if each.uuid != uuid),
        nics=tuple(each for each in running.nics if each.uuid != uuid),
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
    """A setting that changes at the guest's next start; None means that the item does not exist."""

    name: str
    running: Any
    configured: Any

    def __str__(self) -> str:
        now, later = _format_value(self.running), _format_value(self.configured)
        return f"{self.name}: {now} now, {later} after restart"


def _format_value(value: object) -> str:
    return "none" if value in (None, "") else str(value)


def pending_changes(running: RunningConfig, configured: Guest) -> tuple[PendingChange, ...]:
    """Return the changes that wait for the guest's next start, named as in gnt-instance modify."""
    return tuple(
        change for change in _compare(running, configured) if change.running != change.configured
    )


def _compare(running: RunningConfig, configured: Guest) -> Iterator[PendingChange]:
    yield PendingChange("be/maxmem", running.memory, configured.memory)
    yield PendingChange("be/vcpus", running.vcpus, configured.vcpus)
    for name in sorted(running.hvparams.keys() & configured.hvparams.keys()):
        now, then = running.hvparams[name], configured.hvparams[name]
        if now != then and name not in _immediate_parameters(configured):
            yield PendingChange(f"hv/{name}", running.chosen.get(name) or now, then)
    yield PendingChange("network_port", running.network_port, configured.network_port)
    yield from _compare_nics({nic.uuid: nic for nic in running.nics}, configured)
    yield from _compare_disks({disk.uuid: disk for disk in running.disks}, configured.disks)


def _compare_nics(running: Mapping[str, GuestNic], configured: Guest) -> Iterator[PendingChange]:
    for index, nic in enumerate(configured.nics):
        if (before := running.get(nic.uuid)) is None:
            yield PendingChange(f"nic/{index}", None, nic.mac)
            continue
        now, then = before.rules or NO_RULES, nic.rules or NO_RULES
        # Elsewhere, the address is that which the guest should configure.
        ip = ("ip",) if nic.mode == "routed" or then.anti_spoofing else ()
        for name in ("mac", "mode", "link", "vlan", *ip):
            yield PendingChange(f"nic.{name}/{index}", getattr(before, name), getattr(nic, name))
        for name in TrafficRules.__struct_fields__:
            yield PendingChange(f"nic.{name}/{index}", getattr(now, name), getattr(then, name))
    for uuid in running.keys() - {nic.uuid for nic in configured.nics}:
        yield PendingChange("nic", running[uuid].mac, None)


def _compare_disks(
    running: Mapping[str, RunningDisk], configured: tuple[Disk, ...]
) -> Iterator[PendingChange]:
    for index, disk in enumerate(configured):
        if (before := running.get(disk.uuid)) is None:
            yield PendingChange(f"disk/{index}", None, f"{disk.size} MiB")
        else:
            yield PendingChange(f"disk.mode/{index}", before.mode.value, disk.mode.value)
    for uuid in running.keys() - {disk.uuid for disk in configured}:
        yield PendingChange("disk", uuid, None)


def _immediate_parameters(guest: Guest) -> frozenset[str]:
    kind = HYPERVISORS.get(guest.hypervisor)
    return kind.immediate if kind else frozenset()
