# SPDX-License-Identifier: BSD-2-Clause
"""The fields of external storage providers, summed over all nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ganeti.query.fields import Field, FieldType, Source, Table
from ganeti.views.os_definitions import (
    IDefinition,
    common,
    effective_definitions,
    group_by_name,
    is_valid_on_all,
)
from ganeti.views.snapshot import ClusterSnapshot


@dataclass(frozen=True)
class ProviderRow:
    """A provider with its definitions on each node that answered, by the node's name."""

    moment: ClusterSnapshot
    name: str
    nodes: Mapping[str, Sequence[IDefinition]]

    @property
    def node_status(self) -> dict[str, list[list[object]]]:
        return {
            node: [
                [each.path, each.valid, each.diagnosis, [list(one) for one in each.parameters]]
                for each in found
            ]
            for node, found in self.nodes.items()
        }

    @property
    def nodegroup_status(self) -> dict[str, bool]:
        """For each node group, whether the provider is valid on all its nodes."""
        groups: dict[str, dict[str, Sequence[IDefinition]]] = {}
        for node in self.moment.nodes.values():
            if node.name in self.nodes:
                group = self.moment.groups[node.group].name
                groups.setdefault(group, {})[node.name] = self.nodes[node.name]
        return {group: is_valid_on_all(nodes) for group, nodes in sorted(groups.items())}


def _field(
    name: str, title: str, kind: FieldType, text: str, value: Callable[[ProviderRow], object]
) -> Field[ProviderRow]:
    return Field(name, title, kind, text, value, Source.FILES)


EXTSTORAGE: Table[ProviderRow] = Table(
    (
        _field("name", "Name", FieldType.TEXT, "The name of the provider.", lambda row: row.name),
        _field(
            "node_status",
            "NodeStatus",
            FieldType.OTHER,
            "The definitions on each node.",
            lambda row: row.node_status,
        ),
        _field(
            "nodegroup_status",
            "NodegroupStatus",
            FieldType.OTHER,
            "For each node group, whether the provider is valid on all its nodes.",
            lambda row: row.nodegroup_status,
        ),
        _field(
            "parameters",
            "Parameters",
            FieldType.OTHER,
            "The parameters of the provider, each with its description.",
            lambda row: common(
                effective_definitions(row.nodes), lambda each: map(tuple, each.parameters)
            ),
        ),
    )
)


def rows(
    moment: ClusterSnapshot, said: Mapping[str, Iterable[IDefinition] | None]
) -> list[ProviderRow]:
    """Return a row for each provider; ``said`` has the nodes' answers by name, None if missing."""
    return [ProviderRow(moment, name, nodes) for name, nodes in group_by_name(said).items()]
