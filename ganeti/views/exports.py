# SPDX-License-Identifier: BSD-2-Clause
"""The fields of exports on nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ganeti.query.fields import Compare, Field, FieldStatus, FieldType, Source, Table
from ganeti.views.snapshot import ClusterSnapshot, in_order, natural_key


@dataclass(frozen=True)
class ExportRow:
    """An export on a node, or why the exports of the node are unknown."""

    node: str
    export: str | FieldStatus


F = Field[ExportRow]

EXPORTS: Table[ExportRow] = Table(
    (
        F(
            "node",
            "Node",
            FieldType.TEXT,
            "The node that has the export.",
            lambda row: row.node,
            compare=Compare.HOSTNAME,
        ),
        F(
            "export",
            "Export",
            FieldType.TEXT,
            "The name of the export.",
            lambda row: row.export,
            Source.FILES,
        ),
    ),
    key="node",
)


def rows(moment: ClusterSnapshot, found: Mapping[str, Sequence[str] | None]) -> Iterator[ExportRow]:
    """Yield the exports of nodes, by UUID; None stands for a node that did not answer."""
    for node in in_order(moment.nodes.values(), lambda node: node.name):
        if node.uuid not in found:
            continue
        exports = found[node.uuid]
        if exports is None:
            yield ExportRow(node.name, FieldStatus.OFFLINE if node.offline else FieldStatus.NODATA)
        else:
            yield from (ExportRow(node.name, each) for each in sorted(exports, key=natural_key))
