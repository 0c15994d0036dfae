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
from ganeti.query.fields import Compare, Field, Kind, Source, Status, Table
from ganeti.schema.types import Parameters
from ganeti.views.live import Facts, Said, Space
from ganeti.views.moment import Moment, in_order, names_of

ND_PARAMETERS = (
    ("cpu_speed", "ndp/cpu_speed", Kind.FLOAT, "The speed of its processors among the others."),
    (
        "exclusive_storage",
        "ExclusiveStorage",
        Kind.BOOL,
        "Whether disks get spindles of their own.",
    ),
    ("oob_program", "OutOfBandProgram", Kind.OTHER, "The helper that switches its power."),
    ("ovs", "OpenvSwitch", Kind.BOOL, "Whether it has an Open vSwitch."),
    ("ovs_link", "OpenvSwitchLink", Kind.OTHER, "The network device of its switch."),
    ("ovs_name", "OpenvSwitchName", Kind.OTHER, "The name of its switch."),
    ("spindle_count", "SpindleCount", Kind.NUMBER, "How many spindles it has."),
    ("ssh_port", "ndp/ssh_port", Kind.NUMBER, "Where its ssh daemon listens."),
)

_STORAGE_OF = {
    Template.PLAIN.value: "lvm-vg",
    Template.DRBD.value: "lvm-vg",
    Template.RBD.value: "rados",
}
"""The kind of storage that has the disks of a template, where its name is another."""


class NodeRow:
    """A node at a moment."""

    def __init__(self, moment: Moment, node: Node) -> None:
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
            return Status.UNAVAILABLE
        return self.moment.present.of(self.node.uuid)

    @cached_property
    def space(self) -> Space | Status:
        """The storage unit that new disks go to unless something else is said."""
        said = self.said
        if isinstance(said, Status):
            return said
        for template in self.moment.cluster.enabled_disk_templates:
            kind = _STORAGE_OF.get(template, template)
            for space in said.storage:
                if space.kind == kind:
                    return space
        return next(iter(said.storage), Status.UNAVAILABLE)


F = Field[NodeRow]

_ITSELF = (
    F(
        "name",
        "Node",
        Kind.TEXT,
        "The node's name.",
        lambda row: row.node.name,
        compare=Compare.HOSTNAME,
    ),
    F("uuid", "UUID", Kind.TEXT, "Its UUID.", lambda row: row.node.uuid),
    F("serial_no", "SerialNo", Kind.NUMBER, "Its revision.", lambda row: row.node.serial_no),
    F("ctime", "CTime", Kind.TIMESTAMP, "When it was added.", lambda row: row.node.ctime),
    F("mtime", "MTime", Kind.TIMESTAMP, "When it last changed.", lambda row: row.node.mtime),
    F("tags", "Tags", Kind.OTHER, "Its tags.", lambda row: row.node.tags),
    F("pip", "PrimaryIP", Kind.TEXT, "Its address.", lambda row: row.node.primary_ip),
    F(
        "sip",
        "SecondaryIP",
        Kind.TEXT,
        "Its address for the traffic of mirrored disks.",
        lambda row: row.node.secondary_ip,
    ),
    F("offline", "Offline", Kind.BOOL, "Whether it is out of use.", lambda r: r.node.offline),
    F("drained", "Drained", Kind.BOOL, "Whether it gets no instances.", lambda r: r.node.drained),
    F(
        "master_candidate",
        "MasterC",
        Kind.BOOL,
        "Whether it keeps a copy of the configuration.",
        lambda row: row.node.master_candidate,
    ),
    F(
        "master_capable",
        "MasterCapable",
        Kind.BOOL,
        "Whether it may become master.",
        lambda row: row.node.master_capable,
    ),
    F(
        "vm_capable",
        "VMCapable",
        Kind.BOOL,
        "Whether it may run instances.",
        lambda row: row.node.vm_capable,
    ),
    F("master", "IsMaster", Kind.BOOL, "Whether it is the master.", lambda row: row.is_master),
    F(
        "role",
        "Role",
        Kind.TEXT,
        "M master, C candidate, R regular, D drained, O offline.",
        lambda row: ROLE_LETTERS[row.node.role(row.moment.cluster.master_node)],
    ),
    F(
        "powered",
        "Powered",
        Kind.BOOL,
        "Whether it was last switched on; only with an out-of-band helper.",
        lambda row: row.node.powered if row.ndparams["oob_program"] else Status.UNAVAILABLE,
    ),
    F("group", "Group", Kind.TEXT, "Its node group.", lambda row: row.group.name),
    F("group.uuid", "GroupUUID", Kind.TEXT, "UUID of its group.", lambda row: row.node.group),
    F("ndparams", "NodeParameters", Kind.OTHER, "Its parameters.", lambda row: row.ndparams),
    F(
        "custom_ndparams",
        "CustomNodeParameters",
        Kind.OTHER,
        "Parameters of its own.",
        lambda row: row.node.ndparams,
    ),
    F("hv_state", "HypervisorState", Kind.OTHER, "Not in use.", lambda _: Status.UNAVAILABLE),
    F("disk_state", "DiskState", Kind.OTHER, "Not in use.", lambda _: Status.UNAVAILABLE),
)

_INSTANCES = (
    F(
        "pinst_cnt",
        "Pinst",
        Kind.NUMBER,
        "How many instances run here.",
        lambda r: len(r.primaries),
    ),
    F("pinst_list", "PriInstances", Kind.OTHER, "The instances of it.", lambda r: r.primaries),
    F(
        "sinst_cnt",
        "Sinst",
        Kind.NUMBER,
        "How many instances have a second copy of their disks here.",
        lambda row: len(row.secondaries),
    ),
    F(
        "sinst_list",
        "SecInstances",
        Kind.OTHER,
        "The instances that have a second copy of their disks here.",
        lambda row: row.secondaries,
    ),
)


def _fact(of: Callable[[Facts], Any]) -> Callable[[NodeRow], Any]:
    return lambda row: row.said if isinstance(row.said, Status) else of(row.said)


def _space(attribute: str) -> Callable[[NodeRow], Any]:
    def value(row: NodeRow) -> Any:
        space = row.space
        return space if isinstance(space, Status) else getattr(space, attribute)

    return value


def _spindles(of: Callable[[NodeRow], Any]) -> Callable[[NodeRow], Any]:
    return lambda row: of(row) if row.ndparams["exclusive_storage"] else Status.UNAVAILABLE


def _spindles_free(row: NodeRow) -> Any:
    """What the disks on the node leave of its spindles."""
    used = 0
    for instance in (
        *row.moment.state.primaries_on(row.node),
        *row.moment.state.secondaries_on(row.node),
    ):
        used += sum(disk.spindles or 0 for disk in row.moment.state.disks_of(instance))
    return row.ndparams["spindle_count"] - used


def _live(name: str, title: str, text: str, value: Callable[[NodeRow], Any], kind: Kind) -> F:
    return F(name, title, kind, text, value, Source.NODES)


_LIVE = (
    _live("mtotal", "MTotal", "Its memory.", _fact(lambda said: said.memory_total), Kind.UNIT),
    _live("mfree", "MFree", "Its free memory.", _fact(lambda said: said.memory_free), Kind.UNIT),
    _live("mnode", "MNode", "Memory used by it.", _fact(lambda said: said.memory_node), Kind.UNIT),
    _live("dtotal", "DTotal", "Space for disks.", _space("size"), Kind.UNIT),
    _live("dfree", "DFree", "Free space for disks.", _space("free"), Kind.UNIT),
    _live("ctotal", "CTotal", "Its processors.", _fact(lambda said: said.cpus), Kind.NUMBER),
    _live("cnos", "CNOs", "Processors used by itself.", _fact(lambda s: s.cpus_node), Kind.NUMBER),
    _live("cnodes", "CNodes", "Its NUMA nodes.", _fact(lambda said: said.cpu_nodes), Kind.NUMBER),
    _live("csockets", "CSockets", "CPU sockets.", _fact(lambda s: s.cpu_sockets), Kind.NUMBER),
    _live("bootid", "BootID", "Its kernel's boot.", _fact(lambda said: said.boot_id), Kind.TEXT),
    _live(
        "sptotal",
        "SpTotal",
        "Its spindles; only with exclusive storage.",
        _spindles(lambda row: row.ndparams["spindle_count"]),
        Kind.NUMBER,
    ),
    _live(
        "spfree",
        "SpFree",
        "Its free spindles; only with exclusive storage.",
        _spindles(_spindles_free),
        Kind.NUMBER,
    ),
)


def _parameter(name: str, row: NodeRow) -> Any:
    return row.ndparams.get(name, Status.UNAVAILABLE)


def _fields() -> Iterator[F]:
    yield from (*_ITSELF, *_INSTANCES, *_LIVE)
    for name, title, kind, text in ND_PARAMETERS:
        yield F(f"ndp/{name}", title, kind, text, partial(_parameter, name))


NODES: Table[NodeRow] = Table(_fields())


def rows(moment: Moment, names: Iterable[str] | None = None) -> list[NodeRow]:
    """All nodes as people sort them, or those of these names or UUIDs in the order given.

    :raises Refused: there is no node of one of the names.
    """
    if names is None:
        found = in_order(moment.nodes.values(), lambda node: node.name)
    else:
        found = [moment.state.node(name) for name in names]
    return [NodeRow(moment, node) for node in found]
