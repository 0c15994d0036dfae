# SPDX-License-Identifier: BSD-2-Clause
"""Nodes: what the configuration has of them, and what they said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from typing import Any

from ganeti.model.disk import Template
from ganeti.model.group import Group
from ganeti.model.node import ROLE_LETTERS, Node
from ganeti.model.parameters.filling import nd_filled
from ganeti.query.fields import Compare, Field, FieldStatus, FieldType, Source, Table
from ganeti.schema.types import Parameters
from ganeti.views.node_status import INodeInfo, Said, StorageSpaceInfo
from ganeti.views.snapshot import ClusterSnapshot, in_order, names_of

ND_PARAMETERS = (
    (
        "cpu_speed",
        "ndp/cpu_speed",
        FieldType.FLOAT,
        "The speed of its processors among the others.",
    ),
    (
        "exclusive_storage",
        "ExclusiveStorage",
        FieldType.BOOL,
        "Whether disks get spindles of their own.",
    ),
    ("oob_program", "OutOfBandProgram", FieldType.OTHER, "The helper that switches its power."),
    ("ovs", "OpenvSwitch", FieldType.BOOL, "Whether it has an Open vSwitch."),
    ("ovs_link", "OpenvSwitchLink", FieldType.OTHER, "The network device of its switch."),
    ("ovs_name", "OpenvSwitchName", FieldType.OTHER, "The name of its switch."),
    ("spindle_count", "SpindleCount", FieldType.NUMBER, "How many spindles it has."),
    ("ssh_port", "ndp/ssh_port", FieldType.NUMBER, "Where its ssh daemon listens."),
)

_STORAGE_OF = {
    Template.PLAIN.value: "lvm-vg",
    Template.DRBD.value: "lvm-vg",
    Template.RBD.value: "rados",
}
"""The kind of storage that has the disks of a template, where its name is another."""


class NodeRow:
    """A node at a moment."""

    def __init__(self, moment: ClusterSnapshot, node: Node) -> None:
        self.moment = moment
        self.node = node

    @cached_property
    def group(self) -> Group:
        return self.moment.groups[self.node.group]

    @cached_property
    def ndparams(self) -> Parameters:
        return nd_filled(self.moment.cluster, self.group, self.node)

    @cached_property
    def primaries(self) -> list[str]:
        return names_of(self.moment.state.primaries_on(self.node))

    @cached_property
    def secondaries(self) -> list[str]:
        return names_of(self.moment.state.secondaries_on(self.node))

    @property
    def is_master(self) -> bool:
        return self.node.uuid == self.moment.cluster.master_node

    @cached_property
    def said(self) -> Said:
        """What it said; nodes that run no instances are not asked."""
        if not self.node.vm_capable:
            return FieldStatus.UNAVAILABLE
        return self.moment.present.of(self.node.uuid)

    @cached_property
    def space(self) -> StorageSpaceInfo | FieldStatus:
        """The storage unit that new disks go to unless something else is said."""
        said = self.said
        if isinstance(said, FieldStatus):
            return said
        for template in self.moment.cluster.enabled_disk_templates:
            kind = _STORAGE_OF.get(template, template)
            for space in said.storage:
                if space.kind == kind:
                    return space
        return next(iter(said.storage), FieldStatus.UNAVAILABLE)


F = Field[NodeRow]

_ITSELF = (
    F(
        "name",
        "Node",
        FieldType.TEXT,
        "The node's name.",
        lambda row: row.node.name,
        compare=Compare.HOSTNAME,
    ),
    F("uuid", "UUID", FieldType.TEXT, "Its UUID.", lambda row: row.node.uuid),
    F("serial_no", "SerialNo", FieldType.NUMBER, "Its revision.", lambda row: row.node.serial_no),
    F("ctime", "CTime", FieldType.TIMESTAMP, "When it was added.", lambda row: row.node.ctime),
    F("mtime", "MTime", FieldType.TIMESTAMP, "When it last changed.", lambda row: row.node.mtime),
    F("tags", "Tags", FieldType.OTHER, "Its tags.", lambda row: row.node.tags),
    F("pip", "PrimaryIP", FieldType.TEXT, "Its address.", lambda row: row.node.primary_ip),
    F(
        "sip",
        "SecondaryIP",
        FieldType.TEXT,
        "Its address for the traffic of mirrored disks.",
        lambda row: row.node.secondary_ip,
    ),
    F("offline", "Offline", FieldType.BOOL, "Whether it is out of use.", lambda r: r.node.offline),
    F(
        "drained",
        "Drained",
        FieldType.BOOL,
        "Whether it gets no instances.",
        lambda r: r.node.drained,
    ),
    F(
        "master_candidate",
        "MasterC",
        FieldType.BOOL,
        "Whether it keeps a copy of the configuration.",
        lambda row: row.node.master_candidate,
    ),
    F(
        "master_capable",
        "MasterCapable",
        FieldType.BOOL,
        "Whether it may become master.",
        lambda row: row.node.master_capable,
    ),
    F(
        "vm_capable",
        "VMCapable",
        FieldType.BOOL,
        "Whether it may run instances.",
        lambda row: row.node.vm_capable,
    ),
    F("master", "IsMaster", FieldType.BOOL, "Whether it is the master.", lambda row: row.is_master),
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
        "Whether it was last switched on; only with an out-of-band helper.",
        lambda row: row.node.powered if row.ndparams["oob_program"] else FieldStatus.UNAVAILABLE,
    ),
    F("group", "Group", FieldType.TEXT, "Its node group.", lambda row: row.group.name),
    F("group.uuid", "GroupUUID", FieldType.TEXT, "UUID of its group.", lambda row: row.node.group),
    F("ndparams", "NodeParameters", FieldType.OTHER, "Its parameters.", lambda row: row.ndparams),
    F(
        "custom_ndparams",
        "CustomNodeParameters",
        FieldType.OTHER,
        "Parameters of its own.",
        lambda row: row.node.ndparams,
    ),
    F(
        "hv_state",
        "HypervisorState",
        FieldType.OTHER,
        "Not in use.",
        lambda _: FieldStatus.UNAVAILABLE,
    ),
    F("disk_state", "DiskState", FieldType.OTHER, "Not in use.", lambda _: FieldStatus.UNAVAILABLE),
)

_INSTANCES = (
    F(
        "pinst_cnt",
        "Pinst",
        FieldType.NUMBER,
        "How many instances run here.",
        lambda r: len(r.primaries),
    ),
    F("pinst_list", "PriInstances", FieldType.OTHER, "The instances of it.", lambda r: r.primaries),
    F(
        "sinst_cnt",
        "Sinst",
        FieldType.NUMBER,
        "How many instances have a second copy of their disks here.",
        lambda row: len(row.secondaries),
    ),
    F(
        "sinst_list",
        "SecInstances",
        FieldType.OTHER,
        "The instances that have a second copy of their disks here.",
        lambda row: row.secondaries,
    ),
)


def _fact(of: Callable[[INodeInfo], Any]) -> Callable[[NodeRow], Any]:
    return lambda row: row.said if isinstance(row.said, FieldStatus) else of(row.said)


def _space(attribute: str) -> Callable[[NodeRow], Any]:
    def value(row: NodeRow) -> Any:
        space = row.space
        return space if isinstance(space, FieldStatus) else getattr(space, attribute)

    return value


def _spindles(of: Callable[[NodeRow], Any]) -> Callable[[NodeRow], Any]:
    return lambda row: of(row) if row.ndparams["exclusive_storage"] else FieldStatus.UNAVAILABLE


def _spindles_free(row: NodeRow) -> Any:
    """What the disks on the node leave of its spindles."""
    used = 0
    for instance in (
        *row.moment.state.primaries_on(row.node),
        *row.moment.state.secondaries_on(row.node),
    ):
        used += sum(disk.spindles or 0 for disk in row.moment.state.disks_of(instance))
    return row.ndparams["spindle_count"] - used


def _live(name: str, title: str, text: str, value: Callable[[NodeRow], Any], kind: FieldType) -> F:
    return F(name, title, kind, text, value, Source.NODES)


_LIVE = (
    _live("mtotal", "MTotal", "Its memory.", _fact(lambda said: said.memory_total), FieldType.UNIT),
    _live(
        "mfree", "MFree", "Its free memory.", _fact(lambda said: said.memory_free), FieldType.UNIT
    ),
    _live(
        "mnode", "MNode", "Memory used by it.", _fact(lambda said: said.memory_node), FieldType.UNIT
    ),
    _live("dtotal", "DTotal", "Space for disks.", _space("size"), FieldType.UNIT),
    _live("dfree", "DFree", "Free space for disks.", _space("free"), FieldType.UNIT),
    _live("ctotal", "CTotal", "Its processors.", _fact(lambda said: said.cpus), FieldType.NUMBER),
    _live(
        "cnos", "CNOs", "Processors used by itself.", _fact(lambda s: s.cpus_node), FieldType.NUMBER
    ),
    _live(
        "cnodes", "CNodes", "Its NUMA nodes.", _fact(lambda said: said.cpu_nodes), FieldType.NUMBER
    ),
    _live("csockets", "CSockets", "CPU sockets.", _fact(lambda s: s.cpu_sockets), FieldType.NUMBER),
    _live(
        "bootid", "BootID", "Its kernel's boot.", _fact(lambda said: said.boot_id), FieldType.TEXT
    ),
    _live(
        "sptotal",
        "SpTotal",
        "Its spindles; only with exclusive storage.",
        _spindles(lambda row: row.ndparams["spindle_count"]),
        FieldType.NUMBER,
    ),
    _live(
        "spfree",
        "SpFree",
        "Its free spindles; only with exclusive storage.",
        _spindles(_spindles_free),
        FieldType.NUMBER,
    ),
)


def _parameter(name: str, row: NodeRow) -> Any:
    return row.ndparams.get(name, FieldStatus.UNAVAILABLE)


def _fields() -> Iterator[F]:
    yield from (*_ITSELF, *_INSTANCES, *_LIVE)
    for name, title, kind, text in ND_PARAMETERS:
        yield F(f"ndp/{name}", title, kind, text, partial(_parameter, name))


NODES: Table[NodeRow] = Table(_fields())


def rows(moment: ClusterSnapshot, names: Iterable[str] | None = None) -> list[NodeRow]:
    """All nodes as people sort them, or those of these names or UUIDs in the order given.

    :raises Refused: there is no node of one of the names.
    """
    if names is None:
        found = in_order(moment.nodes.values(), lambda node: node.name)
    else:
        found = [moment.state.node(name) for name in names]
    return [NodeRow(moment, node) for node in found]
