# SPDX-License-Identifier: BSD-2-Clause
"""The operation that returns all data of instances, with the status of disks on nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.disk import Disk, Template
from ganeti.model.instance import Nic
from ganeti.model.node import Node
from ganeti.model.parameters.filling import (
    fill_backend,
    fill_hypervisor,
    fill_nic,
    fill_os,
    private_os_parameters,
)
from ganeti.model.running import pending_changes
from ganeti.opcodes.instance.lifecycle import DescribeInstances
from ganeti.operations.guest_conversion import (
    fill_disk_parameters,
    make_guest,
    traffic_rules_of,
)
from ganeti.operations.instance.context import InstanceContext, standing
from ganeti.operations.instance.pending_changes import running_config
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.disks import DescribeDisks, DiskStatus
from ganeti.rpc.node import DescribeNode
from ganeti.schema.types import Value


@dataclass(frozen=True)
class Describe:
    """The instances to describe, the state, and the answers of their nodes."""

    op: DescribeInstances
    state: ClusterState
    subjects: tuple[InstanceContext, ...]
    facts: NodeAnswers

    @property
    def locks(self) -> LockRequest:
        return {}


def questions(op: DescribeInstances, state: ClusterState) -> Sequence[NodeQuery]:
    if op.static:
        return ()
    primaries = {each.primary.uuid: each.primary for each in _get_contexts(op, state)}
    online = [node for node in primaries.values() if not node.offline]
    return [NodeQuery(online, DescribeNode(hypervisors=state.cluster.enabled_hypervisors))]


def plan(op: DescribeInstances, state: ClusterState, facts: NodeAnswers) -> Describe:
    """Find the instances."""
    return Describe(op, state, _get_contexts(op, state), facts)


def _get_contexts(op: DescribeInstances, state: ClusterState) -> tuple[InstanceContext, ...]:
    instances = [state.instance(name) for name in op.instances] or state.instances.values()
    return tuple(standing(instance, state) for instance in instances)


async def run(plan: Describe, tools: Tools) -> dict[str, object]:
    described: dict[str, object] = {}
    for subject in plan.subjects:
        statuses: dict[str, Sequence[DiskStatus | None]] = {}
        if not plan.op.static:
            for node in subject.nodes:
                statuses[node.uuid] = await _query_disks(plan.state, subject, node, tools)
        described[subject.instance.name] = {
            **_describe(plan, subject, statuses),
            "running": await _describe_running(plan, subject, tools),
        }
    return described


def _is_running(plan: Describe, subject: InstanceContext) -> bool | None:
    """Return whether the guest runs on the primary node, or None if it is unknown."""
    facts = None if plan.op.static else plan.facts.known(subject.primary, DescribeNode)
    return None if facts is None else subject.instance.name in facts.guests


async def _describe_running(
    plan: Describe, subject: InstanceContext, tools: Tools
) -> dict[str, object] | None:
    """Return the running settings that may differ from the configured ones."""
    if not _is_running(plan, subject):
        return None
    guest = make_guest(plan.state, subject.instance)
    running = await running_config(subject.primary, guest, tools)
    if running is None:
        return None
    waiting = pending_changes(running, guest)
    return {
        "memory": running.memory,
        "vcpus": running.vcpus,
        "version": running.version,
        "chosen": running.chosen,
        "forwards": running.forwards,
        "pending": [[each.name, each.running, each.configured] for each in waiting],
    }


async def _query_disks(
    state: ClusterState, subject: InstanceContext, node: Node, tools: Tools
) -> Sequence[DiskStatus | None]:
    if node.offline or not subject.disks or subject.instance.forthcoming:
        return ()
    disks = tuple(fill_disk_parameters(state, subject.instance, disk) for disk in subject.disks)
    try:
        return await tools.nodes.ask(node, DescribeDisks(disks=disks))
    except (Failed, Refused) as e:
        tools.progress.log_message(str(e))
        return ()


def _describe(
    plan: Describe, subject: InstanceContext, statuses: Mapping[str, Sequence[DiskStatus | None]]
) -> dict[str, object]:
    state, instance = plan.state, subject.instance
    cluster, group = state.cluster, state.groups[subject.primary.group]
    run_state = {None: None, True: "up", False: "down"}[_is_running(plan, subject)]
    others = [state.groups[node.group] for node in subject.secondaries]
    template = subject.disks[0].dev_type if subject.disks else Template.DISKLESS
    return {
        "name": instance.name,
        "config_state": instance.admin_state.value,
        "run_state": run_state,
        "pnode": subject.primary.name,
        "pnode_group_uuid": group.uuid,
        "pnode_group_name": group.name,
        "snodes": [node.name for node in subject.secondaries],
        "snodes_group_uuids": [each.uuid for each in others],
        "snodes_group_names": [each.name for each in others],
        "os": instance.os,
        "nics": [_describe_nic(state, nic) for nic in instance.nics],
        # Clients unpack the rows above.
        "nic_rules": [msgspec.to_builtins(traffic_rules_of(state, nic)) for nic in instance.nics],
        "disk_template": template.value,
        "disks": [
            _describe_disk(subject, disk, index, statuses)
            for index, disk in enumerate(subject.disks)
        ],
        "hypervisor": instance.hypervisor,
        "network_port": instance.network_port,
        "hv_instance": instance.hvparams,
        "hv_actual": fill_hypervisor(cluster, instance),
        "be_instance": instance.beparams,
        "be_actual": fill_backend(cluster, instance),
        "os_instance": instance.osparams,
        "os_actual": _visible_osparams(
            fill_os(cluster, instance), private_os_parameters(cluster, instance)
        ),
        "serial_no": instance.serial_no,
        "mtime": instance.mtime,
        "ctime": instance.ctime,
        "uuid": instance.uuid,
    }


def _visible_osparams(
    filled: Mapping[str, Value], private: Mapping[str, Value]
) -> dict[str, object]:
    return {name: value for name, value in filled.items() if name not in private}


def _describe_nic(state: ClusterState, nic: Nic) -> list[object]:
    filled = fill_nic(state.cluster, nic)
    network = state.networks[nic.network] if nic.network is not None else None
    return [
        nic.name,
        nic.uuid,
        nic.ip,
        nic.mac,
        filled["mode"],
        filled["link"],
        filled["vlan"],
        nic.network,
        msgspec.to_builtins(network) if network is not None else None,
    ]


def _describe_disk(
    subject: InstanceContext,
    disk: Disk,
    index: int,
    statuses: Mapping[str, Sequence[DiskStatus | None]],
) -> dict[str, object]:
    seen = {uuid: rows[index] for uuid, rows in statuses.items() if index < len(rows)}
    others = [seen.get(node.uuid) for node in subject.secondaries]
    return {
        "iv_name": disk.iv_name,
        "dev_type": disk.dev_type.value,
        "logical_id": list(disk.logical_id),
        "drbd_info": _describe_drbd(subject, disk),
        "pstatus": _format_status(seen.get(subject.primary.uuid)),
        "sstatus": _format_status(others[0]) if others else None,
        "children": [_describe_disk(subject, child, 0, {}) for child in disk.children],
        "mode": disk.mode.value,
        "size": disk.size,
        "spindles": disk.spindles,
        "name": disk.name,
        "uuid": disk.uuid,
    }


def _describe_drbd(subject: InstanceContext, disk: Disk) -> dict[str, object] | None:
    if disk.dev_type is not Template.DRBD:
        return None
    one, other, port, minor_of_one, minor_of_other, _ = disk.logical_id
    names = {node.uuid: node.name for node in subject.nodes}
    minors = {one: minor_of_one, other: minor_of_other}
    secondary = other if one == subject.primary.uuid else one
    return {
        "primary_node": subject.primary.name,
        "primary_minor": minors[subject.primary.uuid],
        "secondary_node": names[secondary],
        "secondary_minor": minors[secondary],
        "port": port,
    }


def _format_status(status: DiskStatus | None) -> list[object] | None:
    """Return the row for clients; the last value is 1 ok, 2 syncing, 3 unknown, 4 faulty."""
    if status is None:
        return None
    return [
        status.path,
        status.major,
        status.minor,
        status.sync_percent,
        status.estimated_time,
        status.degraded,
        ("ok", "syncing", "unknown", "faulty").index(status.local) + 1,
    ]


OPERATION = Operation(DescribeInstances, plan, run, questions)
