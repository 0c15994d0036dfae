# SPDX-License-Identifier: BSD-2-Clause
"""External storage providers, as all nodes together see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.query.fields import Field, FieldType, Source, Table
from ganeti.views.os_definitions import IDefinition, common, first_ones, gathered, is_good_on_all
from ganeti.views.snapshot import ClusterSnapshot


@dataclass(frozen=True)
class ProviderRow:
    """A provider: what each node that answered has of it, by the node's name."""

    moment: ClusterSnapshot
    name: str
    nodes: Mapping[str, Sequence[IDefinition]]

    @property
    def node_status(self) -> dict[str, list[list[Any]]]:
        return {
            node: [
                [each.path, each.valid, each.diagnosis, [list(one) for one in each.parameters]]
                for each in found
            ]
            for node, found in self.nodes.items()
        }

    @property
    def nodegroup_status(self) -> dict[str, bool]:
        """For each node group, whether it works on all nodes of it."""
        groups: dict[str, dict[str, Sequence[IDefinition]]] = {}
        for node in self.moment.nodes.values():
            if node.name in self.nodes:
                group = self.moment.groups[node.group].name
                groups.setdefault(group, {})[node.name] = self.nodes[node.name]
        return {group: is_good_on_all(nodes) for group, nodes in sorted(groups.items())}


def _field(name: str, title: str, kind: FieldType, text: str, value: Any) -> Field[ProviderRow]:
    return Field(name, title, kind, text, value, Source.FILES)


EXTSTORAGE: Table[ProviderRow] = Table(
    (
        _field("name", "Name", FieldType.TEXT, "The provider's name.", lambda row: row.name),
        _field(
            "node_status",
            "NodeStatus",
            FieldType.OTHER,
            "What each node has of it.",
            lambda row: row.node_status,
        ),
        _field(
            "nodegroup_status",
            "NodegroupStatus",
            FieldType.OTHER,
            "For each node group, whether it works there.",
            lambda row: row.nodegroup_status,
        ),
        _field(
            "parameters",
            "Parameters",
            FieldType.OTHER,
            "Its parameters, each with a help text.",
            lambda row: common(first_ones(row.nodes), lambda each: map(tuple, each.parameters)),
        ),
    )
)


def rows(
    moment: ClusterSnapshot, said: Mapping[str, Iterable[IDefinition] | None]
) -> list[ProviderRow]:
    """What nodes said of their providers, by node name; None for one without an answer."""
    return [ProviderRow(moment, name, nodes) for name, nodes in gathered(said).items()]
