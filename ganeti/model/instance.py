# SPDX-License-Identifier: BSD-2-Clause
"""Instances: the virtual machines of the cluster."""

from __future__ import annotations

import enum

from ganeti.model.named import TaggedObject
from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Line, Parameters


class AdminState(enum.StrEnum):
    """The configured state of an instance."""

    UP = "up"
    DOWN = "down"
    OFFLINE = "offline"


class AdminStateSource(enum.StrEnum):
    """The source of that state: an administrator, or a shutdown from inside the guest."""

    ADMIN = "admin"
    USER = "user"


class Nic(Record, omit_defaults=True):
    """A network card; ``nicparams`` has only values that differ from the cluster's defaults."""

    mac: Line
    ip: Line | None = None
    nicparams: Parameters
    network: Line | None = None
    name: Line | None = None
    uuid: Line


class Instance(TaggedObject, omit_defaults=True):
    """A virtual machine; ``primary_node`` and ``disks`` are UUIDs.

    One that is ``forthcoming`` is only reserved: nothing of it is on a node, and its disks are
    forthcoming, too.
    """

    name: Line
    primary_node: Line
    os: Line
    hypervisor: Line
    hvparams: Parameters
    beparams: Parameters
    osparams: Parameters
    osparams_private: Parameters
    admin_state: AdminState
    admin_state_source: AdminStateSource
    nics: tuple[Nic, ...]
    disks: tuple[Line, ...]
    disks_active: bool
    network_port: Integer | None = None
    forthcoming: bool = False
