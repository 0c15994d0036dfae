# SPDX-License-Identifier: BSD-2-Clause
"""Calls about the places that disks are made in: folders, volume groups and their devices."""

from __future__ import annotations

from ganeti.model.disk import Template
from ganeti.rpc.call import FAST, NORMAL, Call
from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Text


class StorageUnit(Record):
    """A place for disks; sizes in MiB. One that is not ``healthy`` has lost a part of itself."""

    name: str
    size: Integer
    free: Integer
    used: Integer
    allocatable: bool
    group: str
    healthy: bool


class ListStorageCall(Call[list[StorageUnit]]):
    """The storage units of a kind, all or the one of that ``name``."""

    wire = "storage_list"
    call_timeout = FAST

    kind: Text
    name: Text | None = None


class ModifyStorageCall(Call[None]):
    """Say whether new disks may be made in a storage unit."""

    wire = "storage_modify"
    call_timeout = NORMAL

    kind: Text
    name: Text
    allocatable: bool


class RepairStorageCall(Call[None]):
    """Take out of a storage unit what is missing, so that the rest can be used again."""

    wire = "storage_execute"
    call_timeout = NORMAL

    kind: Text
    name: Text


class StoredVolume(Record):
    """A volume that is there, whether or not an instance has it; ``size`` in MiB."""

    name: str
    size: Integer
    attached: bool
    opened: bool
    owner: str


class ListVolumesCall(Call[list[StoredVolume]]):
    """Every volume of a disk template on the node, sorted by name."""

    wire = "node_volumes"
    call_timeout = FAST

    template: Template = Template.PLAIN
