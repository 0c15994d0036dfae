# SPDX-License-Identifier: BSD-2-Clause
"""Exports that nodes keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ganeti.query.fields import Compare, Field, FieldStatus, FieldType, Source, Table
from ganeti.views.snapshot import ClusterSnapshot, in_order, natural


@dataclass(frozen=True)
class ExportRow:
    """An export on a node, or why the exports of the node are not known."""

    node: str
    export: str | FieldStatus


F = Field[ExportRow]

EXPORTS: Table[ExportRow] = Table(
    (
        F(
            "node",
            "Node",
            FieldType.TEXT,
            "The node that keeps it.",
            lambda row: row.node,
            compare=Compare.HOSTNAME,
        ),
        F("export", "Export", FieldType.TEXT, "Its name.", lambda row: row.export, Source.FILES),
    ),
    key="node",
)


def rows(moment: ClusterSnapshot, found: Mapping[str, Sequence[str] | None]) -> Iterator[ExportRow]:
    """What was found on nodes, by UUID; None for a node that did not answer."""
    for node in in_order(moment.nodes.values(), lambda node: node.name):
        if node.uuid not in found:
            continue
        exports = found[node.uuid]
        if exports is None:
            yield ExportRow(node.name, FieldStatus.OFFLINE if node.offline else FieldStatus.NODATA)
        else:
            yield from (ExportRow(node.name, each) for each in sorted(exports, key=natural))
