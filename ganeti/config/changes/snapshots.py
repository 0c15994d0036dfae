# SPDX-License-Identifier: BSD-2-Clause
"""Changes of the records of instances' snapshots."""

from __future__ import annotations

from ganeti.config.changes.objects import current
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.model.instance import Instance
from ganeti.model.instance_snapshots import InstanceSnapshots, Snapshot
from ganeti.schema.records import replace


def list_snapshots_of(state: ClusterState, instance: Instance) -> tuple[Snapshot, ...]:
    """Return the snapshots of an instance, the oldest first, also those that are not ready."""
    return _record(state, instance).snapshots


def put_snapshot(instance: Instance, snapshot: Snapshot) -> Change:
    """Add a snapshot, or replace the one with its UUID."""

    def change(state: ClusterState) -> ClusterState:
        current(state, instance)
        record = _record(state, instance)
        others = [each for each in record.snapshots if each.uuid != snapshot.uuid]
        if any(each.name == snapshot.name for each in others):
            raise Refused(
                f"instance {instance.name} has a snapshot {snapshot.name} already", Code.EXISTS
            )
        found = sorted((*others, snapshot), key=lambda each: (each.ctime, each.uuid))
        return state.put(replace(record, snapshots=tuple(found)))

    return change


def drop_snapshot(instance: Instance, snapshot: Snapshot) -> Change:
    """Remove the record of a snapshot; do nothing if there is none."""

    def change(state: ClusterState) -> ClusterState:
        record = _record(state, instance)
        left = tuple(each for each in record.snapshots if each.uuid != snapshot.uuid)
        if left == record.snapshots:
            return state
        if not left and not record.reverting:
            return state.remove(record)
        return state.put(replace(record, snapshots=left))

    return change


def begin_revert(instance: Instance, snapshot: Snapshot) -> Change:
    """Record that disks of an instance are being reverted, so that it does not start."""

    def change(state: ClusterState) -> ClusterState:
        record = _record(state, current(state, instance))
        return state.put(replace(record, reverting=snapshot.uuid))

    return change


def end_revert(instance: Instance, reverted: Snapshot | None) -> Change:
    """Record the end of a revert; with ``reverted``, the disks have the sizes of that snapshot."""

    def change(state: ClusterState) -> ClusterState:
        state = state.put(replace(_record(state, current(state, instance)), reverting=""))
        for each in reverted.disks if reverted is not None else ():
            disk = state.disks.get(each.uuid)
            if disk is not None and disk.size != each.size:
                state = state.put(replace(disk, size=each.size))
        return state

    return change


def _record(state: ClusterState, instance: Instance) -> InstanceSnapshots:
    return state.snapshots.get(instance.uuid) or InstanceSnapshots(uuid=instance.uuid)
