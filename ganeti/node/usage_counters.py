# SPDX-License-Identifier: BSD-2-Clause
"""Counters of this host, as the kernel has them, and of its guests."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from ganeti.errors import GanetiError
from ganeti.model.guest import Counters
from ganeti.node.node_info import memory
from ganeti.node.usage_rings import HOST
from ganeti.system.interfaces import IFiles

SECTOR = 512
"""Bytes of a sector in ``/proc/diskstats``, whatever the disk has (kernel, admin-guide/iostats)."""

_DISK = re.compile(r"(?:sd[a-z]+|vd[a-z]+|xvd[a-z]+|hd[a-z]+|nvme\d+n\d+|mmcblk\d+)\Z")
"""Whole disks, without partitions and what is made of them, which would be counted twice."""

_VIRTUAL = frozenset(("bridge", "bonding", "tun_flags"))
"""What ``/sys/class/net/NAME`` has for devices that carry the traffic of others."""


class CountedGuests(Protocol):
    """The part of ``IHypervisor`` that counters need."""

    def counters(self) -> Mapping[str, Counters]:
        """Return the counters of the running guests by name."""
        ...


def processor_seconds(stat: str, ticks_per_second: int) -> float | None:
    """Return the time that all processors were in use, from ``/proc/stat``.

    The fields are user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user.
    """
    for line in stat.splitlines():
        if line.startswith("cpu "):
            times = [int(each) for each in line.split()[1:9]]
            return (sum(times) - sum(times[3:5])) / ticks_per_second
    return None


def disk_bytes(diskstats: str) -> tuple[int, int]:
    """Return what all disks have read and written, from ``/proc/diskstats``."""
    read = written = 0
    for line in diskstats.splitlines():
        fields = line.split()
        if len(fields) > 9 and _DISK.match(fields[2]):
            read += int(fields[5]) * SECTOR
            written += int(fields[9]) * SECTOR
    return read, written


def network_bytes(dev: str, devices: Iterable[str]) -> tuple[int, int]:
    """Return what some devices have received and sent, from ``/proc/net/dev``."""
    received = sent = 0
    wanted = set(devices)
    for line in dev.splitlines():
        name, colon, rest = line.partition(":")
        fields = rest.split()
        if colon and name.strip() in wanted and len(fields) > 8:
            received += int(fields[0])
            sent += int(fields[8])
    return received, sent


class UsageCounters:
    """Reads the counters of the host and of the guests of all hypervisors."""

    def __init__(self, files: IFiles, hypervisors: Mapping[str, CountedGuests]) -> None:
        self._files = files
        self._hypervisors = hypervisors

    def read(self) -> Mapping[str, Counters]:
        """Return all counters, by the names of guests; the host is ``HOST``."""
        found = {HOST: self._host()}
        for hypervisor in self._hypervisors.values():
            try:
                found.update(hypervisor.counters())
            except (GanetiError, OSError):
                continue  # which is reported with the list of guests
        return found

    def _host(self) -> Counters:
        room = memory(self._text("/proc/meminfo"))
        read, written = disk_bytes(self._text("/proc/diskstats"))
        received, sent = network_bytes(self._text("/proc/net/dev"), self._devices())
        return Counters(
            cpu=processor_seconds(self._text("/proc/stat"), os.sysconf("SC_CLK_TCK")),
            memory=(room.total - room.free) << 20,
            disk_read=read,
            disk_written=written,
            received=received,
            sent=sent,
        )

    def _devices(self) -> list[str]:
        """Return the network devices of the hardware; in a container, those that stand for it."""
        found = {
            name: set(self._files.names(f"/sys/class/net/{name}"))
            for name in self._files.names("/sys/class/net")
        }
        hardware = [name for name, has in found.items() if "device" in has]
        return hardware or [
            name for name, has in found.items() if name != "lo" and not _VIRTUAL & has
        ]

    def _text(self, path: str) -> str:
        try:
            return self._files.read(path).decode("utf-8", "replace")
        except OSError:
            return ""
