# SPDX-License-Identifier: BSD-2-Clause
"""The fields of OS definitions, summed over all nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from ganeti.query.fields import Field, FieldType, Source, Table
from ganeti.views.os_definitions import (
    IDefinition,
    common,
    effective_definitions,
    group_by_name,
    is_valid_on_all,
)
from ganeti.views.snapshot import ClusterSnapshot


class IOSDefinition(IDefinition, Protocol):
    """An OS definition on one node."""

    @property
    def variants(self) -> Sequence[str]: ...
    @property
    def api_versions(self) -> Sequence[int]: ...
    @property
    def trusted(self) -> bool: ...


@dataclass(frozen=True)
class OSRow:
    """An OS definition with its instances on each node that answered, by the node's name."""

    moment: ClusterSnapshot
    name: str
    nodes: Mapping[str, Sequence[IOSDefinition]]

    @cached_property
    def definitions(self) -> list[IOSDefinition]:
        return effective_definitions(self.nodes)

    @property
    def valid(self) -> bool:
        """Whether it is valid on all nodes."""
        return is_valid_on_all(self.nodes)

    @property
    def hidden(self) -> bool:
        return self.name in self.moment.cluster.hidden_os

    @property
    def blacklisted(self) -> bool:
        return self.name in self.moment.cluster.blacklisted_os

    @property
    def variants(self) -> list[str]:
        return common(self.definitions, lambda each: each.variants)

    @property
    def choices(self) -> list[str]:
        """The names to install by: one for each variant, if there are variants."""
        return [f"{self.name}+{variant}" for variant in self.variants] or [self.name]

    @property
    def node_status(self) -> dict[str, list[list[object]]]:
        return {
            node: [_format_status(each) for each in found] for node, found in self.nodes.items()
        }


def _format_status(each: IOSDefinition) -> list[object]:
    return [
        each.path,
        each.valid,
        each.diagnosis,
        list(each.variants),
        [list(parameter) for parameter in each.parameters],
        list(each.api_versions),
        each.trusted,
    ]


def _field(
    name: str, title: str, kind: FieldType, text: str, value: Callable[[OSRow], object]
) -> Field[OSRow]:
    return Field(name, title, kind, text, value, Source.FILES)


OSES: Table[OSRow] = Table(
    (
        _field(
            "name", "Name", FieldType.TEXT, "The name of the OS definition.", lambda row: row.name
        ),
        _field(
            "valid",
            "Valid",
            FieldType.BOOL,
            "Whether the OS definition is valid on all nodes.",
            lambda r: r.valid,
        ),
        _field(
            "hidden",
            "Hidden",
            FieldType.BOOL,
            "Whether the OS definition is hidden from lists.",
            lambda r: r.hidden,
        ),
        _field(
            "blacklisted",
            "Blacklisted",
            FieldType.BOOL,
            "Whether the OS definition must not be used.",
            lambda row: row.blacklisted,
        ),
        _field(
            "trusted",
            "Trusted",
            FieldType.BOOL,
            "Whether the scripts run on the node instead of in a virtual machine.",
            lambda row: all(each.trusted for each in row.definitions),
        ),
        _field("variants", "Variants", FieldType.OTHER, "The variants.", lambda row: row.variants),
        _field(
            "api_versions",
            "ApiVersions",
            FieldType.OTHER,
            "The supported versions of the OS interface.",
            lambda row: common(row.definitions, lambda each: each.api_versions),
        ),
        _field(
            "parameters",
            "Parameters",
            FieldType.OTHER,
            "The parameters, each with its description.",
            lambda row: common(row.definitions, lambda each: map(tuple, each.parameters)),
        ),
        _field(
            "node_status",
            "NodeStatus",
            FieldType.OTHER,
            "The definitions on each node.",
            lambda row: row.node_status,
        ),
        _field(
            "os_hvp",
            "OsHypervisorParams",
            FieldType.OTHER,
            "The hypervisor parameters of the cluster for this OS definition.",
            lambda row: row.moment.cluster.os_hvp.get(row.name, {}),
        ),
        _field(
            "osparams",
            "OsParameters",
            FieldType.OTHER,
            "The OS parameters of the cluster for this OS definition.",
            lambda row: row.moment.cluster.osparams.get(row.name, {}),
        ),
    )
)


def rows(
    moment: ClusterSnapshot, said: Mapping[str, Iterable[IOSDefinition] | None]
) -> list[OSRow]:
    """Return a row for each OS definition; ``said`` has the nodes' answers by name, None if
    missing."""
    return [OSRow(moment, name, nodes) for name, nodes in group_by_name(said).items()]


def usable(found: Iterable[OSRow]) -> list[OSRow]:
    """Return the OS definitions that instances can be installed with."""
    return [row for row in found if row.valid and not row.hidden and not row.blacklisted]
