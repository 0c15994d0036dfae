# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots of instances that are incomplete, missing in the storage, or left over there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ganeti.config.changes.snapshots import list_snapshots_of
from ganeti.config.state import ClusterState
from ganeti.model.disk import Disk
from ganeti.model.group import Group
from ganeti.model.instance import Instance
from ganeti.model.instance_snapshots import (
    STORED_PREFIX,
    SnapshotState,
    can_have_snapshots,
    get_snapshot_volume,
    has_inner_snapshots,
)
from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.operations.cluster.findings import Finding
from ganeti.operations.guest_conversion import fill_disk_parameters
from ganeti.operations.operation import NodeAnswers, NodeQuery
from ganeti.rpc.snapshots import ListDiskSnapshots


def snapshot_queries(group: Group, state: ClusterState) -> Iterator[NodeQuery | None]:
    """Yield a query to each online node of the group about the disks that can have snapshots.

    None marks points where work can pause.
    """
    for node in state.list_nodes(group):
        disks = [
            fill_disk_parameters(state, instance, disk)
            for instance in state.list_primary_instances(node)
            for disk in _list_able_disks(state, instance)
        ]
        if disks and not node.offline:
            yield NodeQuery([node], ListDiskSnapshots(disks=tuple(disks)))
        yield None


def _list_able_disks(state: ClusterState, instance: Instance) -> Sequence[Disk]:
    return [
        disk
        for disk in state.get_disks(instance)
        if can_have_snapshots(disk) and not disk.forthcoming
    ]


def snapshot_findings(
    group: Group, state: ClusterState, facts: NodeAnswers
) -> Iterator[Finding | None]:
    """Yield findings about the snapshots of the group's instances."""
    before = facts.state or state
    for node in state.list_nodes(group):
        stored = facts.known(node, ListDiskSnapshots) if _was_asked(node.uuid, facts) else None
        for instance in state.list_primary_instances(node):
            # A job may have changed them since the nodes were asked.
            if before.snapshots.get(instance.uuid) == state.snapshots.get(instance.uuid):
                yield from _check_instance(instance, state, stored or {})
        yield None


def _was_asked(uuid: str, facts: NodeAnswers) -> bool:
    return (uuid, ListDiskSnapshots) in facts.answers


def _check_instance(
    instance: Instance, state: ClusterState, stored: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    def finding(message: str, *, warning: bool = False) -> Finding:
        return Finding(
            Code.EINSTANCEFAULTYDISK, "instance", instance.name, message, warning=warning
        )

    record = state.snapshots.get(instance.uuid)
    known = list_snapshots_of(state, instance)
    for each in known:
        if record is not None and record.reverting == each.uuid:
            yield finding(
                f"its disks were not all reverted to snapshot {each.name}, and it does not start;"
                f" repeat this: gnt-instance snapshot revert {instance.name} {each.name}"
            )
        if each.state is not SnapshotState.READY:
            yield finding(
                f"snapshot {each.name} is unfinished ({each.state.value}); if no job is at it,"
                f" remove it: gnt-instance snapshot remove {instance.name} {each.name}",
                warning=True,
            )
            continue
        lacking = [
            disk.iv_name
            for disk in state.get_disks(instance)
            if disk.uuid in stored and each.stored_name not in stored[disk.uuid]
        ]
        if lacking:
            yield finding(
                f"snapshot {each.name} is missing on {', '.join(lacking)}; it cannot be reverted"
                f" to: gnt-instance snapshot remove {instance.name} {each.name}"
            )
    names = {each.stored_name for each in known}
    for disk in state.get_disks(instance):
        left = [
            name
            for name in stored.get(disk.uuid, ())
            if name.startswith(STORED_PREFIX) and name not in names
        ]
        if left:
            remove = f"lvremove {'/'.join(get_snapshot_volume(disk, left[0]))}"
            if has_inner_snapshots(disk):
                remove = f"qemu-img snapshot -d {left[0]} {disk.logical_id[1]}"
            yield finding(
                f"{disk.iv_name} has snapshots of no record ({', '.join(left)}), which take space;"
                f" shut the instance down, and remove them: {remove}",
                warning=True,
            )
