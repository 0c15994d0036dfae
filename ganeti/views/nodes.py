# SPDX-License-Identifier: BSD-2-Clause
"""The fields of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial

from ganeti.model.disk import Template
from ganeti.model.group import Group
from ganeti.model.node import ROLE_LETTERS, Node
from ganeti.model.parameters.filling import fill_node
from ganeti.query.fields import Compare, Field, FieldStatus, FieldType, Source, Table
from ganeti.schema.types import Parameters
from ganeti.views.node_status import INodeInfo, Said, StorageSpaceInfo
from ganeti.views.snapshot import ClusterSnapshot, in_order, names_of

ND_PARAMETERS = (
    (
        "cpu_speed",
        "ndp/cpu_speed",
        FieldType.FLOAT,
        "The speed of the processors, relative to other nodes.",
    ),
    (
        "exclusive_storage",
        "ExclusiveStorage",
        FieldType.BOOL,
        "Whether disks have exclusive spindles.",
    ),
    ("oob_program", "OutOfBandProgram", FieldType.OTHER, "The out-of-band helper."),
    ("ovs", "OpenvSwitch", FieldType.BOOL, "Whether the node has an Open vSwitch."),
    ("ovs_link", "OpenvSwitchLink", FieldType.OTHER, "The network device of the Open vSwitch."),
    ("ovs_name", "OpenvSwitchName", FieldType.OTHER, "The name of the Open vSwitch."),
    ("spindle_count", "SpindleCount", FieldType.NUMBER, "The number of spindles."),
    ("ssh_port", "ndp/ssh_port", FieldType.NUMBER, "The port of the SSH daemon."),
)

_STORAGE_TYPES = {
    Template.PLAIN.value: "lvm-vg",
    Template.DRBD.value: "lvm-vg",
    Template.RBD.value: "rados",
}
"""The storage type for a disk template, if their names differ."""


class NodeRow:
    """A node as of a snapshot."""

    def __init__(self, moment: ClusterSnapshot, node: Node) -> None:
        self.moment = moment
        self.node = node

    @cached_property
    def group(self) -> Group:
        return self.moment.groups[self.node.group]

    @cached_property
    def ndparams(self) -> Parameters:
        return fill_node(self.moment.cluster, self.group, self.node)

    @cached_property
    def primaries(self) -> list[str]:
        return names_of(self.moment.state.list_primary_instances(self.node))

    @cached_property
    def secondaries(self) -> list[str]:
        return names_of(self.moment.state.list_secondary_instances(self.node))

    @property
    def is_master(self) -> bool:
        return self.node.uuid == self.moment.cluster.master_node

    @cached_property
    def said(self) -> Said:
        """The reported state; nodes that are not VM-capable are not queried."""
        if not self.node.vm_capable:
            return FieldStatus.UNAVAILABLE
        return self.moment.present.status_of(self.node.uuid)

    @cached_property
    def space(self) -> StorageSpaceInfo | FieldStatus:
        """The storage unit for new disks of the default template."""
        said = self.said
        if isinstance(said, FieldStatus):
            return said
        for template in self.moment.cluster.enabled_disk_templates:
            kind = _STORAGE_TYPES.get(template, template)
            for space in said.storage:
                if space.kind == kind:
                    return space
        return next(iter(said.storage), FieldStatus.UNAVAILABLE)


F = Field[NodeRow]

_CONFIGURED = (
    F(
        "name",
        "Node",
        FieldType.TEXT,
        "The name of the node.",
        lambda row: row.node.name,
        compare=Compare.HOSTNAME,
    ),
    F("uuid", "UUID", FieldType.TEXT, "The UUID of the node.", lambda row: row.node.uuid),
    F(
        "serial_no",
        "SerialNo",
        FieldType.NUMBER,
        "The serial number, incremented by each change.",
        lambda row: row.node.serial_no,
    ),
    F(
        "ctime",
        "CTime",
        FieldType.TIMESTAMP,
        "The time when the node was added.",
        lambda row: row.node.ctime,
    ),
    F(
        "mtime",
        "MTime",
        FieldType.TIMESTAMP,
        "The time of the last change.",
        lambda row: row.node.mtime,
    ),
    F("tags", "Tags", FieldType.OTHER, "The tags of the node.", lambda row: row.node.tags),
    F(
        "pip",
        "PrimaryIP",
        FieldType.TEXT,
        "The primary IP address.",
        lambda row: row.node.primary_ip,
    ),
    F(
        "sip",
        "SecondaryIP",
        FieldType.TEXT,
        "The secondary IP address, for DRBD traffic.",
        lambda row: row.node.secondary_ip,
    ),
    F(
        "offline",
        "Offline",
        FieldType.BOOL,
        "Whether the node is marked offline.",
        lambda r: r.node.offline,
    ),
    F(
        "drained",
        "Drained",
        FieldType.BOOL,
        "Whether the node is drained and gets no new instances.",
        lambda r: r.node.drained,
    ),
    F(
        "master_candidate",
        "MasterC",
        FieldType.BOOL,
        "Whether the node is a master candidate, with a copy of the configuration.",
        lambda row: row.node.master_candidate,
    ),
    F(
        "master_capable",
        "MasterCapable",
        FieldType.BOOL,
        "Whether the node can become master.",
        lambda row: row.node.master_capable,
    ),
    F(
        "vm_capable",
        "VMCapable",
        FieldType.BOOL,
        "Whether the node can run instances.",
        lambda row: row.node.vm_capable,
    ),
    F(
        "master",
        "IsMaster",
        FieldType.BOOL,
        "Whether the node is the master.",
        lambda row: row.is_master,
    ),
    F(
        "role",
        "Role",
        FieldType.TEXT,
        "M master, C candidate, R regular, D drained, O offline.",
        lambda row: ROLE_LETTERS[row.node.role(row.moment.cluster.master_node)],
    ),
    F(
        "powered",
        "Powered",
        FieldType.BOOL,
        "Whether the node is powered on, by its out-of-band helper.",
        lambda row: row.node.powered if row.ndparams["oob_program"] else FieldStatus.UNAVAILABLE,
    ),
    F("group", "Group", FieldType.TEXT, "The node group.", lambda row: row.group.name),
    F(
        "group.uuid",
        "GroupUUID",
        FieldType.TEXT,
        "The UUID of the node group.",
        lambda row: row.node.group,
    ),
    F(
        "ndparams",
        "NodeParameters",
        FieldType.OTHER,
        "The effective node parameters.",
        lambda row: row.ndparams,
    ),
    F(
        "custom_ndparams",
        "CustomNodeParameters",
        FieldType.OTHER,
        "The node parameters set on the node.",
        lambda row: row.node.ndparams,
    ),
    F(
        "hv_state",
        "HypervisorState",
        FieldType.OTHER,
        "Not used.",
        lambda _: FieldStatus.UNAVAILABLE,
    ),
    F("disk_state", "DiskState", FieldType.OTHER, "Not used.", lambda _: FieldStatus.UNAVAILABLE),
)

_INSTANCES = (
    F(
        "pinst_cnt",
        "Pinst",
        FieldType.NUMBER,
        "The number of primary instances.",
        lambda row: row.moment.state.get_usage(row.node).instances,
    ),
    F(
        "pinst_list",
        "PriInstances",
        FieldType.OTHER,
        "The primary instances.",
        lambda r: r.primaries,
    ),
    F(
        "sinst_cnt",
        "Sinst",
        FieldType.NUMBER,
        "The number of secondary instances.",
        lambda row: len(row.secondaries),
    ),
    F(
        "sinst_list",
        "SecInstances",
        FieldType.OTHER,
        "The secondary instances.",
        lambda row: row.secondaries,
    ),
)


def _info_value(of: Callable[[INodeInfo], object]) -> Callable[[NodeRow], object]:
    return lambda row: row.said if isinstance(row.said, FieldStatus) else of(row.said)


def _storage_value(attribute: str) -> Callable[[NodeRow], object]:
    def value(row: NodeRow) -> object:
        space = row.space
        return space if isinstance(space, FieldStatus) else getattr(space, attribute)

    return value


def _if_exclusive_storage(of: Callable[[NodeRow], object]) -> Callable[[NodeRow], object]:
    return lambda row: of(row) if row.ndparams["exclusive_storage"] else FieldStatus.UNAVAILABLE


def _count_free_spindles(row: NodeRow) -> object:
    """Return the number of spindles that the disks on the node leave free."""
    used = 0
    for instance in (
        *row.moment.state.list_primary_instances(row.node),
        *row.moment.state.list_secondary_instances(row.node),
    ):
        used += sum(disk.spindles or 0 for disk in row.moment.state.get_disks(instance))
    return row.ndparams["spindle_count"] - used


def _live_field(
    name: str, title: str, text: str, value: Callable[[NodeRow], object], kind: FieldType
) -> F:
    return F(name, title, kind, text, value, Source.NODES)


_LIVE = (
    _live_field(
        "mtotal",
        "MTotal",
        "The total memory.",
        _info_value(lambda said: said.memory_total),
        FieldType.UNIT,
    ),
    _live_field(
        "mfree",
        "MFree",
        "The free memory.",
        _info_value(lambda said: said.memory_free),
        FieldType.UNIT,
    ),
    _live_field(
        "mnode",
        "MNode",
        "The memory used by the node itself.",
        _info_value(lambda said: said.memory_node),
        FieldType.UNIT,
    ),
    _live_field(
        "dtotal", "DTotal", "The total disk space.", _storage_value("size"), FieldType.UNIT
    ),
    _live_field("dfree", "DFree", "The free disk space.", _storage_value("free"), FieldType.UNIT),
    _live_field(
        "ctotal",
        "CTotal",
        "The number of processors.",
        _info_value(lambda said: said.cpus),
        FieldType.NUMBER,
    ),
    _live_field(
        "cnos",
        "CNOs",
        "The number of processors used by the node itself.",
        _info_value(lambda s: s.cpus_node),
        FieldType.NUMBER,
    ),
    _live_field(
        "cnodes",
        "CNodes",
        "The number of NUMA nodes.",
        _info_value(lambda said: said.cpu_nodes),
        FieldType.NUMBER,
    ),
    _live_field(
        "csockets",
        "CSockets",
        "The number of CPU sockets.",
        _info_value(lambda s: s.cpu_sockets),
        FieldType.NUMBER,
    ),
    _live_field(
        "bootid",
        "BootID",
        "The boot ID of the kernel.",
        _info_value(lambda said: said.boot_id),
        FieldType.TEXT,
    ),
    _live_field(
        "sptotal",
        "SpTotal",
        "The number of spindles; only with exclusive storage.",
        _if_exclusive_storage(lambda row: row.ndparams["spindle_count"]),
        FieldType.NUMBER,
    ),
    _live_field(
        "spfree",
        "SpFree",
        "The number of free spindles; only with exclusive storage.",
        _if_exclusive_storage(_count_free_spindles),
        FieldType.NUMBER,
    ),
)


def _parameter(name: str, row: NodeRow) -> object:
    return row.ndparams.get(name, FieldStatus.UNAVAILABLE)


def _fields() -> Iterator[F]:
    yield from (*_CONFIGURED, *_INSTANCES, *_LIVE)
    for name, title, kind, text in ND_PARAMETERS:
        yield F(f"ndp/{name}", title, kind, text, partial(_parameter, name))


NODES: Table[NodeRow] = Table(_fields())


def rows(moment: ClusterSnapshot, names: Iterable[str] | None = None) -> list[NodeRow]:
    """Return all nodes sorted by name, or those with these names or UUIDs in the given order.

    :raises Refused: if one of the nodes does not exist.
    """
    if names is None:
        found = in_order(moment.nodes.values(), lambda node: node.name)
    else:
        found = [moment.state.node(name) for name in names]
    return [NodeRow(moment, node) for node in found]
