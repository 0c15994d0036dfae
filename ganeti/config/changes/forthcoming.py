# SPDX-License-Identifier: BSD-2-Clause
"""Changes of reserved (forthcoming) instances, which hold names, addresses, minors and ports."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti.config.changes.objects import current
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.model.disk import Disk
from ganeti.model.instance import Instance
from ganeti.schema.records import replace


def reserved_disk(disk: Disk, *, forthcoming: bool) -> Disk:
    """Return a disk and its volumes as reserved ones, or as ones that exist."""
    below = tuple(replace(child, forthcoming=forthcoming) for child in disk.children)
    return replace(disk, children=below, forthcoming=forthcoming)


def commit_reservation(instance: Instance, disks: Sequence[Disk]) -> Change:
    """Replace a reservation by the instance and disks with its identifiers, which take all over."""

    def change(state: ClusterState) -> ClusterState:
        if not current(state, instance).forthcoming:
            raise Refused(f"instance {instance.name} has been created already", Code.EXISTS)
        for disk in disks:
            state = state.put(disk)
        return state.put(instance)

    return change


def restore_reservation(reserved: Instance, disks: Sequence[Disk]) -> Change:
    """Replace an instance that could not be created by the reservation that it was."""

    def change(state: ClusterState) -> ClusterState:
        current(state, reserved)
        for disk in disks:
            state = state.put(disk)
        return state.put(reserved)

    return change
