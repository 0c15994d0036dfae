# SPDX-License-Identifier: BSD-2-Clause
"""The fields of node groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property, partial

from ganeti.model.disk import Template
from ganeti.model.group import Group
from ganeti.model.node import Node
from ganeti.model.parameters.filling import fill_disk, fill_node, fill_policy
from ganeti.query.fields import Field, FieldStatus, FieldType, Table
from ganeti.schema.types import Parameters
from ganeti.views.nodes import ND_PARAMETERS
from ganeti.views.snapshot import ClusterSnapshot, in_order, names_of


class GroupRow:
    """A node group as of a snapshot."""

    def __init__(self, moment: ClusterSnapshot, group: Group) -> None:
        self.moment = moment
        self.group = group

    @cached_property
    def _nodes(self) -> list[Node]:
        return list(self.moment.state.list_nodes(self.group))

    @cached_property
    def nodes(self) -> list[str]:
        return names_of(self._nodes)

    @cached_property
    def instances(self) -> list[str]:
        state = self.moment.state
        return names_of(each for node in self._nodes for each in state.list_primary_instances(node))

    def count_instances(self) -> int:
        """Return the number of primary instances of the group's nodes."""
        return sum(self.moment.state.get_usage(node).instances for node in self._nodes)

    @cached_property
    def ndparams(self) -> Parameters:
        return fill_node(self.moment.cluster, self.group)

    @property
    def diskparams(self) -> dict[str, Parameters]:
        cluster = self.moment.cluster
        return {each.value: fill_disk(cluster, self.group, each) for each in Template}


F = Field[GroupRow]

_FIELDS = (
    F("name", "Group", FieldType.TEXT, "The name of the group.", lambda row: row.group.name),
    F("uuid", "UUID", FieldType.TEXT, "The UUID of the group.", lambda row: row.group.uuid),
    F(
        "serial_no",
        "SerialNo",
        FieldType.NUMBER,
        "The serial number, incremented by each change.",
        lambda row: row.group.serial_no,
    ),
    F(
        "ctime",
        "CTime",
        FieldType.TIMESTAMP,
        "The time when the group was added.",
        lambda row: row.group.ctime,
    ),
    F(
        "mtime",
        "MTime",
        FieldType.TIMESTAMP,
        "The time of the last change.",
        lambda row: row.group.mtime,
    ),
    F("tags", "Tags", FieldType.OTHER, "The tags of the group.", lambda row: row.group.tags),
    F(
        "alloc_policy",
        "AllocPolicy",
        FieldType.TEXT,
        "Whether new instances are placed in the group.",
        lambda row: row.group.alloc_policy.value,
    ),
    F("node_cnt", "Nodes", FieldType.NUMBER, "The number of nodes.", lambda row: len(row.nodes)),
    F("node_list", "NodeList", FieldType.OTHER, "The nodes of the group.", lambda row: row.nodes),
    F(
        "pinst_cnt",
        "Instances",
        FieldType.NUMBER,
        "The number of instances.",
        lambda row: row.count_instances(),
    ),
    F(
        "pinst_list",
        "InstanceList",
        FieldType.OTHER,
        "The instances of the group.",
        lambda row: row.instances,
    ),
    F(
        "ipolicy",
        "InstancePolicy",
        FieldType.OTHER,
        "The effective instance policy.",
        lambda row: fill_policy(row.moment.cluster, row.group),
    ),
    F(
        "custom_ipolicy",
        "CustomInstancePolicy",
        FieldType.OTHER,
        "The instance policy set on the group.",
        lambda row: row.group.ipolicy,
    ),
    F(
        "ndparams",
        "NDParams",
        FieldType.OTHER,
        "The effective node parameters.",
        lambda row: row.ndparams,
    ),
    F(
        "custom_ndparams",
        "CustomNDParams",
        FieldType.OTHER,
        "The node parameters set on the group.",
        lambda row: row.group.ndparams,
    ),
    F(
        "diskparams",
        "DiskParameters",
        FieldType.OTHER,
        "The effective disk parameters, by disk template.",
        lambda row: row.diskparams,
    ),
    F(
        "custom_diskparams",
        "CustomDiskParameters",
        FieldType.OTHER,
        "The disk parameters set on the group.",
        lambda row: row.group.diskparams,
    ),
)


def _parameter(name: str, row: GroupRow) -> object:
    return row.ndparams.get(name, FieldStatus.UNAVAILABLE)


def _fields() -> Iterator[F]:
    yield from _FIELDS
    for name, title, kind, text in ND_PARAMETERS:
        yield F(f"ndp/{name}", title, kind, text, partial(_parameter, name))


GROUPS: Table[GroupRow] = Table(_fields())


def rows(moment: ClusterSnapshot, names: Iterable[str] | None = None) -> list[GroupRow]:
    """Return all groups sorted by name, or those with these names or UUIDs in the given order.

    :raises Refused: if one of the groups does not exist.
    """
    if names is None:
        found = in_order(moment.groups.values(), lambda group: group.name)
    else:
        found = [moment.state.group(name) for name in names]
    return [GroupRow(moment, group) for group in found]
