# SPDX-License-Identifier: BSD-2-Clause
"""Node groups, with their nodes and instances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from typing import Any

from ganeti.model.disk import Template
from ganeti.model.group import Group
from ganeti.model.node import Node
from ganeti.model.parameters.filling import disk_filled, nd_filled, policy_filled
from ganeti.query.fields import Field, FieldStatus, FieldType, Table
from ganeti.schema.types import Parameters
from ganeti.views.nodes import ND_PARAMETERS
from ganeti.views.snapshot import ClusterSnapshot, in_order, names_of


class GroupRow:
    """A node group at a moment."""

    def __init__(self, moment: ClusterSnapshot, group: Group) -> None:
        self.moment = moment
        self.group = group

    @cached_property
    def _nodes(self) -> list[Node]:
        return list(self.moment.state.nodes_in(self.group))

    @cached_property
    def nodes(self) -> list[str]:
        return names_of(self._nodes)

    @cached_property
    def instances(self) -> list[str]:
        state = self.moment.state
        return names_of(each for node in self._nodes for each in state.primaries_on(node))

    @cached_property
    def ndparams(self) -> Parameters:
        return nd_filled(self.moment.cluster, self.group)

    @property
    def diskparams(self) -> dict[str, Parameters]:
        cluster = self.moment.cluster
        return {each.value: disk_filled(cluster, self.group, each) for each in Template}


F = Field[GroupRow]

_FIELDS = (
    F("name", "Group", FieldType.TEXT, "The group's name.", lambda row: row.group.name),
    F("uuid", "UUID", FieldType.TEXT, "Its UUID.", lambda row: row.group.uuid),
    F("serial_no", "SerialNo", FieldType.NUMBER, "Its revision.", lambda row: row.group.serial_no),
    F("ctime", "CTime", FieldType.TIMESTAMP, "When it was made.", lambda row: row.group.ctime),
    F("mtime", "MTime", FieldType.TIMESTAMP, "When it last changed.", lambda row: row.group.mtime),
    F("tags", "Tags", FieldType.OTHER, "Its tags.", lambda row: row.group.tags),
    F(
        "alloc_policy",
        "AllocPolicy",
        FieldType.TEXT,
        "Whether new instances are placed in it.",
        lambda row: row.group.alloc_policy.value,
    ),
    F("node_cnt", "Nodes", FieldType.NUMBER, "How many nodes it has.", lambda row: len(row.nodes)),
    F("node_list", "NodeList", FieldType.OTHER, "Its nodes.", lambda row: row.nodes),
    F(
        "pinst_cnt",
        "Instances",
        FieldType.NUMBER,
        "How many instances.",
        lambda r: len(r.instances),
    ),
    F("pinst_list", "InstanceList", FieldType.OTHER, "Its instances.", lambda row: row.instances),
    F(
        "ipolicy",
        "InstancePolicy",
        FieldType.OTHER,
        "What its instances must keep to.",
        lambda row: policy_filled(row.moment.cluster, row.group),
    ),
    F(
        "custom_ipolicy",
        "CustomInstancePolicy",
        FieldType.OTHER,
        "Its own instance policy.",
        lambda row: row.group.ipolicy,
    ),
    F(
        "ndparams",
        "NDParams",
        FieldType.OTHER,
        "Parameters of its nodes.",
        lambda row: row.ndparams,
    ),
    F(
        "custom_ndparams",
        "CustomNDParams",
        FieldType.OTHER,
        "Its own parameters of nodes.",
        lambda row: row.group.ndparams,
    ),
    F(
        "diskparams",
        "DiskParameters",
        FieldType.OTHER,
        "Disk parameters, by disk template.",
        lambda row: row.diskparams,
    ),
    F(
        "custom_diskparams",
        "CustomDiskParameters",
        FieldType.OTHER,
        "Its own disk parameters.",
        lambda row: row.group.diskparams,
    ),
)


def _parameter(name: str, row: GroupRow) -> Any:
    return row.ndparams.get(name, FieldStatus.UNAVAILABLE)


def _fields() -> Iterator[F]:
    yield from _FIELDS
    for name, title, kind, text in ND_PARAMETERS:
        yield F(f"ndp/{name}", title, kind, text, partial(_parameter, name))


GROUPS: Table[GroupRow] = Table(_fields())


def rows(moment: ClusterSnapshot, names: Iterable[str] | None = None) -> list[GroupRow]:
    """All groups as people sort them, or those of these names or UUIDs in the order given.

    :raises Refused: there is no group of one of the names.
    """
    if names is None:
        found = in_order(moment.groups.values(), lambda group: group.name)
    else:
        found = [moment.state.group(name) for name in names]
    return [GroupRow(moment, group) for group in found]
