# SPDX-License-Identifier: BSD-2-Clause
"""An instance as a node sees it: every parameter filled in, nothing to look up."""

from __future__ import annotations

from ganeti.model.disk import Disk
from ganeti.schema.records import Record
from ganeti.schema.types import Parameters


class GuestNetwork(Record):
    """The network that a network card belongs to, for scripts; empty text where not set."""

    name: str
    uuid: str
    tags: tuple[str, ...] = ()
    subnet: str = ""
    gateway: str = ""
    subnet6: str = ""
    gateway6: str = ""
    mac_prefix: str = ""


class GuestNic(Record):
    """A network card with its mode, link and VLAN."""

    uuid: str
    mac: str
    mode: str
    link: str
    vlan: str = ""
    ip: str | None = None
    name: str | None = None
    network: GuestNetwork | None = None


class Guest(Record):
    """Everything that a node needs to know to install, start or move an instance.

    ``memory`` and ``minmem`` in MiB. ``disks`` have their drivers' parameters filled in.
    ``primary`` and ``secondaries`` are node UUIDs.
    """

    name: str
    uuid: str
    hypervisor: str
    hvparams: Parameters
    beparams: Parameters
    os: str
    osparams: Parameters
    primary: str
    secondaries: tuple[str, ...]
    nics: tuple[GuestNic, ...]
    disks: tuple[Disk, ...]
    ctime: float
    mtime: float
    tags: tuple[str, ...] = ()
    network_port: int | None = None

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
    memory: int
    vcpus: int
    cpu_time: float = 0.0
    paused: bool = False
