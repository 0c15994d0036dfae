# SPDX-License-Identifier: BSD-2-Clause
"""An instance as a node sees it: every parameter filled in, nothing to look up."""

from __future__ import annotations

import enum

from ganeti.model.disk import Disk
from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Line, Number, Parameters


class CheckScope(enum.StrEnum):
    """What of a guest a node checks.

    ``running`` is for a guest that runs elsewhere: a parameter that it does without there cannot
    keep it from running here. ``equipment`` are its network cards and the number of its disks only.
    """

    ALL = "all"
    RUNNING = "running"
    EQUIPMENT = "equipment"


class GuestNetwork(Record):
    """The network that a network card belongs to, for scripts; empty text where not set."""

    name: Line
    uuid: Line
    tags: tuple[Line, ...] = ()
    subnet: Line = ""
    gateway: Line = ""
    subnet6: Line = ""
    gateway6: Line = ""
    mac_prefix: Line = ""


class GuestNic(Record):
    """A network card with its mode, link and VLAN."""

    uuid: Line
    mac: Line
    mode: Line
    link: Line
    vlan: Line = ""
    ip: Line | None = None
    name: Line | None = None
    network: GuestNetwork | None = None


class Guest(Record):
    """Everything that a node needs to know to install, start or move an instance.

    ``memory`` and ``minmem`` in MiB. ``disks`` have their drivers' parameters filled in.
    ``primary`` and ``secondaries`` are node UUIDs.
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


class GuestState(Record):
    """What a hypervisor says of a running guest: memory in MiB, CPU time in seconds."""

    name: str
    memory: Integer
    vcpus: Integer
    cpu_time: Number = 0.0
    paused: bool = False
