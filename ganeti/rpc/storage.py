# SPDX-License-Identifier: BSD-2-Clause
"""Calls about storage units: directories, volume groups and physical volumes."""

from __future__ import annotations

from ganeti.model.disk import Template
from ganeti.rpc.call import FAST, NORMAL, Call
from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Text


class ReportedStorageUnit(Record):
    """A storage unit; sizes in MiB. It is not ``healthy`` if it lacks a part, such as a device."""

    name: str
    size: Integer
    free: Integer
    used: Integer
    allocatable: bool
    group: str
    healthy: bool


class ListStorageCall(Call[list[ReportedStorageUnit]]):
    """Return the storage units of a kind, or the one with ``name``."""

    wire = "storage_list"
    call_timeout = FAST

    kind: Text
    name: Text | None = None


class ModifyStorageCall(Call[None]):
    """Set whether new disks may be created in a storage unit."""

    wire = "storage_modify"
    call_timeout = NORMAL

    kind: Text
    name: Text
    allocatable: bool


class RepairStorageCall(Call[None]):
    """Remove missing parts from a storage unit, so that the rest is usable again."""

    wire = "storage_execute"
    call_timeout = NORMAL

    kind: Text
    name: Text


class ProviderReport(Record):
    """An external storage provider on one node; ``diagnosis`` has the reason if not ``valid``."""

    name: str
    path: str
    valid: bool
    diagnosis: str
    parameters: tuple[tuple[str, str], ...]


class DescribeProviders(Call[list[ProviderReport]]):
    """Return all external storage providers of the node, including invalid ones."""

    wire = "extstorage_diagnose"
    call_timeout = FAST


class StoredVolume(Record):
    """An existing volume, also one that no instance uses; ``size`` in MiB."""

    name: str
    size: Integer
    attached: bool
    opened: bool
    owner: str


class ListVolumesCall(Call[list[StoredVolume]]):
    """Return all volumes of a disk template on the node, sorted by name."""

    wire = "node_volumes"
    call_timeout = FAST

    template: Template = Template.PLAIN
