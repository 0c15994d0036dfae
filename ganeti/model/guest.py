# SPDX-License-Identifier: BSD-2-Clause
"""An instance as it is sent to nodes, with all parameters filled in."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ganeti.model.disk import Disk
from ganeti.model.traffic_rules import TrafficRules
from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Line, Number, Parameters


class CheckScope(enum.StrEnum):
    """How much of a guest a node checks before it accepts it.

    ``running`` is for a guest that is running on another node: only parameters that take effect
    there are checked. ``equipment`` checks only its network cards and the number of its disks.
    """

    ALL = "all"
    RUNNING = "running"
    EQUIPMENT = "equipment"


class GuestNetwork(Record):
    """The network of a network card, for scripts; values that are not set are empty strings."""

    name: Line
    uuid: Line
    tags: tuple[Line, ...] = ()
    subnet: Line = ""
    gateway: Line = ""
    subnet6: Line = ""
    gateway6: Line = ""
    mac_prefix: Line = ""


class GuestNic(Record, omit_defaults=True):
    """A network card with its mode, link and VLAN; without ``rules``, all traffic passes."""

    uuid: Line
    mac: Line
    mode: Line
    link: Line
    vlan: Line = ""
    ip: Line | None = None
    name: Line | None = None
    network: GuestNetwork | None = None
    rules: TrafficRules | None = None


class Guest(Record):
    """The data that a node needs to install, start or move an instance.

    ``memory`` and ``minmem`` are in MiB. ``disks`` have the parameters of their templates filled
    in. ``primary`` and ``secondaries`` are node UUIDs.
    """

    name: Line
    uuid: Line
    hypervisor: Line
    hvparams: Parameters
    beparams: Parameters
    os: Line
    osparams: Parameters
    primary: Line
    secondaries: tuple[Line, ...]
    nics: tuple[GuestNic, ...]
    disks: tuple[Disk, ...]
    ctime: Number
    mtime: Number
    tags: tuple[Line, ...] = ()
    network_port: Integer | None = None

    @property
    def memory(self) -> int:
        return int(self.beparams["maxmem"])

    @property
    def minmem(self) -> int:
        return int(self.beparams["minmem"])

    @property
    def vcpus(self) -> int:
        return int(self.beparams["vcpus"])


@dataclass(frozen=True, kw_only=True)
class Counters:
    """What a host or a guest uses: ``memory`` in bytes, and what has been used since some time.

    ``cpu`` in seconds of one processor, all others in bytes; None if it is not known.
    """

    cpu: float | None = None
    memory: int | None = None
    disk_read: int | None = None
    disk_written: int | None = None
    received: int | None = None
    sent: int | None = None


class GuestState(Record, omit_defaults=True):
    """The state of a running guest as its hypervisor reports it: MiB, and seconds of CPU time.

    ``user`` is the user ID of its process, which the hypervisors without processes do not have.
    """

    name: str
    memory: Integer
    vcpus: Integer
    cpu_time: Number = 0.0
    paused: bool = False
    user: Integer = 0
