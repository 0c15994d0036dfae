# SPDX-License-Identifier: BSD-2-Clause
"""Instances: the virtual machines that the cluster is there for."""

from __future__ import annotations

import enum

from ganeti.model.named import TaggedObject
from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Line, Parameters


class Wanted(enum.StrEnum):
    """The state that an administrator wants an instance to be in."""

    UP = "up"
    DOWN = "down"
    OFFLINE = "offline"


class WantedBy(enum.StrEnum):
    """Who last decided on that state: an administrator, or the guest's user from inside."""

    ADMIN = "admin"
    USER = "user"


class Nic(Record, omit_defaults=True):
    """A network card; ``nicparams`` holds only what differs from the cluster's defaults."""

    mac: Line
    ip: Line | None = None
    nicparams: Parameters
    network: Line | None = None
    name: Line | None = None
    uuid: Line


class Instance(TaggedObject, omit_defaults=True):
    """A virtual machine; ``primary_node`` and ``disks`` are UUIDs."""

    name: Line
    primary_node: Line
    os: Line
    hypervisor: Line
    hvparams: Parameters
    beparams: Parameters
    osparams: Parameters
    osparams_private: Parameters
    admin_state: Wanted
    admin_state_source: WantedBy
    nics: tuple[Nic, ...]
    disks: tuple[Line, ...]
    disks_active: bool
    network_port: Integer | None = None
