# SPDX-License-Identifier: BSD-2-Clause
"""Information about this node: memory, processors, storage space, running guests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from ganeti.errors import GanetiError
from ganeti.model.guest import GuestState
from ganeti.node.guest_starts import GuestStarts
from ganeti.rpc.node import DescribeNode, NodeInfo, StorageSpace
from ganeti.storage.interfaces import IStorageUnits
from ganeti.system.interfaces import IFiles

ON_PAPER = frozenset({"fake"})
"""Hypervisors whose guests use no memory; their configured memory is counted as used."""


class RunningGuests(Protocol):
    """The part of ``IHypervisor`` that node information needs."""

    def running(self) -> Mapping[str, GuestState]:
        """Return the running guests by name; cheap enough for frequent polling."""
        ...


def _select_guests(
    guests: dict[str, GuestState], names: Sequence[str] | None
) -> dict[str, GuestState]:
    if names is None:
        return guests
    return {name: guests[name] for name in names if name in guests}


@dataclass(frozen=True)
class HostMemory:
    """Total memory and memory available to new guests, in MiB."""

    total: int
    free: int


@dataclass(frozen=True)
class Processors:
    """Number of logical processors, NUMA nodes and sockets."""

    count: int
    nodes: int
    sockets: int


def memory(meminfo: str) -> HostMemory:
    """Parse ``/proc/meminfo``; missing values are 0. Kernels before 3.14 lack MemAvailable."""
    found = {name: int(kib) // 1024 for name, kib in _MEMINFO.findall(meminfo)}
    roughly = sum(found.get(name, 0) for name in ("MemFree", "Buffers", "Cached"))
    return HostMemory(found.get("MemTotal", 0), found.get("MemAvailable", roughly))


def processors(cpuinfo: str, memory_nodes: int) -> Processors:
    """Parse ``/proc/cpuinfo``; some architectures do not report sockets, which counts as one."""
    count = len(_PROCESSOR.findall(cpuinfo))
    return Processors(
        max(1, count), max(1, memory_nodes), max(1, len(set(_SOCKET.findall(cpuinfo))))
    )


_MEMINFO = re.compile(r"^(MemTotal|MemFree|MemAvailable|Buffers|Cached):\s*(\d+) kB$", re.MULTILINE)
_PROCESSOR = re.compile(r"^processor\s*:", re.MULTILINE)
_SOCKET = re.compile(r"^physical id\s*:\s*(\d+)$", re.MULTILINE)
_MEMORY_NODE = re.compile(r"node\d+")


class NodeInfoAnswers:
    """Handles ``DescribeNode``; ``units`` by storage kind.

    The guests of ``starts`` count as running, and do not use memory yet. ``stop_marker`` is the
    file that is there while the host waits for its guests to be migrated.
    """

    def __init__(
        self,
        files: IFiles,
        hypervisors: Mapping[str, RunningGuests],
        units: Mapping[str, IStorageUnits],
        starts: GuestStarts | None = None,
        stop_marker: str = "",
    ) -> None:
        self._starts = starts or GuestStarts()
        self._files = files
        self._hypervisors = hypervisors
        self._units = units
        self._stop_marker = stop_marker

    async def describe(self, call: DescribeNode) -> NodeInfo:
        """Return current information; a failing part is reported as a problem, not an error."""
        problems: dict[str, str] = {}
        guests: dict[str, GuestState] = {}
        starting: dict[str, GuestState] = {}
        on_paper = 0
        for name in call.hypervisors:
            found = self._list_guests(name, problems)
            guests.update(found)
            starting.update(self._starts.list_starting(name))
            on_paper += sum(each.memory for each in found.values() if name in ON_PAPER)
        storage = [await self._read_space(kind, name, problems) for kind, name in call.storage]
        room = memory(self._read_text("/proc/meminfo"))
        real = sum(guest.memory for guest in guests.values()) - on_paper
        processors = self._processors
        return NodeInfo(
            memory_total=room.total,
            memory_free=max(0, room.free - on_paper),
            memory_node=max(0, room.total - room.free - real),
            cpus=processors.count,
            cpu_nodes=processors.nodes,
            cpu_sockets=processors.sockets,
            cpus_node=1,
            boot_id=self._boot_id,
            guests=_select_guests({**starting, **guests}, call.only),
            storage=tuple(each for each in storage if each is not None),
            problems=problems,
            host_stops=bool(self._stop_marker) and self._files.stat(self._stop_marker) is not None,
        )

    def _list_guests(self, name: str, problems: dict[str, str]) -> Mapping[str, GuestState]:
        if name not in self._hypervisors:
            problems[name] = f"this node has no hypervisor {name}"
            return {}
        try:
            return self._hypervisors[name].running()
        except (GanetiError, OSError) as e:
            problems[name] = str(e)
            return {}

    async def _read_space(
        self, kind: str, name: str, problems: dict[str, str]
    ) -> StorageSpace | None:
        if kind not in self._units:
            problems[f"{kind}:{name}"] = f"this node has no storage of type {kind}"
            return None
        try:
            unit = await self._units[kind].unit(name)
        except (GanetiError, OSError) as e:
            problems[f"{kind}:{name}"] = str(e)
            return None
        return StorageSpace(kind=kind, name=name, size=unit.size, free=unit.free)

    @cached_property
    def _processors(self) -> Processors:
        # Read once: on large hosts the kernel measures every processor's speed for each read.
        nodes = self._files.names("/sys/devices/system/node")
        found = sum(bool(_MEMORY_NODE.fullmatch(name)) for name in nodes)
        return processors(self._read_text("/proc/cpuinfo"), found)

    @cached_property
    def _boot_id(self) -> str:
        return self._read_text("/proc/sys/kernel/random/boot_id").strip()

    def _read_text(self, path: str) -> str:
        try:
            return self._files.read(path).decode("utf-8", "replace")
        except OSError:  # the kernel of this host does not provide the file
            return ""
