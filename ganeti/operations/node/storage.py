# SPDX-License-Identifier: BSD-2-Clause
"""Operations that list, modify and repair storage units of nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.disk import Disk, Template
from ganeti.model.node import Node
from ganeti.opcodes.choices import StorageType
from ganeti.opcodes.node import ListStorage, ListVolumes, ModifyStorage, RepairStorage
from ganeti.operations.instance.context import check_online
from ganeti.operations.operation import AnyOperation, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.refusals import describe_failure
from ganeti.rpc import storage as calls
from ganeti.rpc.storage import ReportedStorageUnit, StoredVolume

SETTABLE = {StorageType.LVM_PV: frozenset({"allocatable"})}
"""The parameters of storage units that can be changed, by storage type."""
REPAIRABLE = frozenset({StorageType.LVM_VG})
_DEFAULT = StorageType.LVM_VG


@dataclass(frozen=True)
class StorageRows:
    """The rows of the result, and errors of nodes; no locks are needed."""

    rows: list[list[object]]
    troubles: tuple[str, ...]

    @property
    def locks(self) -> LockRequest:
        return {}


def _nodes(names: Sequence[str], state: ClusterState) -> list[Node]:
    found = [state.node(name) for name in names] or list(state.nodes.values())
    return sorted(found, key=lambda node: node.name)


def _online(names: Sequence[str], state: ClusterState) -> list[Node]:
    return [node for node in _nodes(names, state) if not node.offline and node.vm_capable]


_UNIT_FIELDS: Mapping[str, Callable[[Node, str, ReportedStorageUnit], object]] = {
    "node": lambda node, kind, unit: node.name,
    "type": lambda node, kind, unit: kind,
    "name": lambda node, kind, unit: unit.name,
    "size": lambda node, kind, unit: unit.size,
    "used": lambda node, kind, unit: unit.used,
    "free": lambda node, kind, unit: unit.free,
    "allocatable": lambda node, kind, unit: unit.allocatable,
}


def _check_fields(asked: Sequence[str], known: Mapping[str, object]) -> None:
    if unknown := [name for name in asked if name not in known]:
        raise Refused(
            f"unknown output fields {', '.join(unknown)}; known are {', '.join(known)}", Code.INPUT
        )


def units_queries(op: ListStorage, state: ClusterState) -> Sequence[NodeQuery]:
    kind = (op.storage_type or _default_storage_type(state)).value
    _check_fields(op.output_fields, _UNIT_FIELDS)
    return [NodeQuery(_online(op.nodes, state), calls.ListStorageCall(kind=kind, name=op.name))]


def _default_storage_type(state: ClusterState) -> StorageType:
    """Return the storage type of the cluster's default disk template."""
    first = Template(state.cluster.enabled_disk_templates[0])
    by_template = {
        Template.FILE: StorageType.FILE,
        Template.SHAREDFILE: StorageType.SHAREDFILE,
        Template.GLUSTER: StorageType.GLUSTER,
    }
    return by_template.get(first, _DEFAULT)


def plan_units(op: ListStorage, state: ClusterState, facts: NodeAnswers) -> StorageRows:
    """Format the answers of the nodes as rows."""
    kind = (op.storage_type or _default_storage_type(state)).value
    columns = [_UNIT_FIELDS[name] for name in op.output_fields]
    rows: list[list[object]] = []
    troubles = []
    for node in _online(op.nodes, state):
        answer = facts.answers[node.uuid, calls.ListStorageCall]
        if isinstance(answer, Failed):
            troubles.append((node, answer))
            continue
        rows += [[column(node, kind, unit) for column in columns] for unit in answer]
    return StorageRows(rows, _format_errors(troubles, bool(rows)))


def _format_errors(troubles: Sequence[tuple[Node, Failed]], some: bool) -> tuple[str, ...]:
    """Format the errors.

    :raises Refused: there are only errors and no rows; with the first error.
    """
    if troubles and not some:
        node, error = troubles[0]
        raise Refused(describe_failure(node, error), error.code or Code.ENVIRONMENT)
    return tuple(describe_failure(node, error) for node, error in troubles)


async def run_table(plan: StorageRows, tools: Tools) -> list[list[object]]:
    for trouble in plan.troubles:
        tools.progress.log_message(trouble)
    return plan.rows


@dataclass(frozen=True)
class _Row:
    node: Node
    volume: StoredVolume
    owner: str

    @property
    def parts(self) -> tuple[str, str]:
        """The volume group and the volume."""
        group, _, name = self.volume.name.rpartition("/")
        return group, name


_VOLUME_FIELDS: Mapping[str, Callable[[_Row], object]] = {
    "node": lambda row: row.node.name,
    "phys": lambda row: f"/dev/{row.volume.name}",
    "vg": lambda row: row.parts[0],
    "name": lambda row: row.parts[1],
    "size": lambda row: row.volume.size,
    "instance": lambda row: row.owner or "-",
    "dev": lambda row: f"/dev/{row.volume.name}",
}


def volumes_queries(op: ListVolumes, state: ClusterState) -> Sequence[NodeQuery]:
    _check_fields(op.output_fields, _VOLUME_FIELDS)
    return [NodeQuery(_online(op.nodes, state), calls.ListVolumesCall())]


def plan_volumes(op: ListVolumes, state: ClusterState, facts: NodeAnswers) -> StorageRows:
    """Format the answers of the nodes as rows, with the instances of the volumes."""
    owners = _volume_owners(state)
    columns = [_VOLUME_FIELDS[name] for name in op.output_fields]
    rows: list[list[object]] = []
    troubles = []
    for node in _online(op.nodes, state):
        answer = facts.answers[node.uuid, calls.ListVolumesCall]
        if isinstance(answer, Failed):
            troubles.append((node, answer))
            continue
        for volume in answer:
            row = _Row(node, volume, owners.get((node.uuid, volume.name), ""))
            rows.append([column(row) for column in columns])
    return StorageRows(rows, _format_errors(troubles, bool(rows)))


def _volume_owners(state: ClusterState) -> dict[tuple[str, str], str]:
    """Return the name of the instance of each logical volume, by node and volume name."""
    found = {}
    instances = state.instances
    for uuid, owner in state.owners.items():
        for disk in _volumes(state.disks[uuid]):
            name = "/".join(map(str, disk.logical_id))
            for node in disk.nodes:
                found[node, name] = instances[owner].name
    return found


def _volumes(disk: Disk) -> list[Disk]:
    return [each for each in (disk, *disk.children) if each.dev_type is Template.PLAIN]


@dataclass(frozen=True)
class StorageChange:
    """A call for a storage unit of a node."""

    node: Node
    call: calls.ModifyStorageCall | calls.RepairStorageCall

    @property
    def locks(self) -> LockRequest:
        return request(exclusive=[node_lock(self.node.uuid)])


def plan_modify(op: ModifyStorage, state: ClusterState, facts: NodeAnswers) -> StorageChange:
    """Plan the change of a storage unit."""
    node = state.node(op.node_uuid or op.node_name)
    settable = SETTABLE.get(op.storage_type, frozenset())
    if unknown := [name for name in op.changes if name not in settable]:
        can = ", ".join(sorted(settable)) or "nothing"
        raise Refused(
            f"cannot change {', '.join(unknown)} of {op.storage_type} storage; changeable: {can}",
            Code.INPUT,
        )
    allocatable = op.changes.get("allocatable")
    if op.name is None or not isinstance(allocatable, bool):
        raise Refused(
            "the parameters name and allocatable (true or false) are required", Code.INPUT
        )
    check_online(node, "its storage cannot be changed")
    kind = op.storage_type.value
    return StorageChange(
        node, calls.ModifyStorageCall(kind=kind, name=op.name, allocatable=allocatable)
    )


def plan_repair(op: RepairStorage, state: ClusterState, facts: NodeAnswers) -> StorageChange:
    """Plan the repair of a storage unit."""
    node = state.node(op.node_uuid or op.node_name)
    if op.storage_type not in REPAIRABLE:
        can = ", ".join(sorted(REPAIRABLE))
        raise Refused(f"cannot repair {op.storage_type} storage; repairable: {can}", Code.INPUT)
    if op.name is None:
        raise Refused("the parameter name is required", Code.INPUT)
    check_online(node, "its storage cannot be repaired")
    if not op.ignore_consistency:
        _check_copies(node, state)
    return StorageChange(node, calls.RepairStorageCall(kind=op.storage_type.value, name=op.name))


def _check_copies(node: Node, state: ClusterState) -> None:
    """Check that no instance has its only disks on this node.

    :raises Refused: the repair might destroy them.
    """
    alone = sorted(
        instance.name
        for instance in state.list_primary_instances(node)
        if state.get_template(instance) is Template.PLAIN and not instance.forthcoming
    )
    if alone:
        raise Refused(
            f"the disks of {', '.join(alone)} are only on node {node.name}, and a repair may "
            f"destroy "
            "them; export the instances first, or use --ignore-consistency"
        )


async def run_change(plan: StorageChange, tools: Tools) -> None:
    await tools.nodes.ask(plan.node, plan.call)


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(ListStorage, plan_units, run_table, units_queries),
    Operation(ListVolumes, plan_volumes, run_table, volumes_queries),
    Operation(ModifyStorage, plan_modify, run_change),
    Operation(RepairStorage, plan_repair, run_change),
)
