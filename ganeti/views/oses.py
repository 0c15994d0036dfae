# SPDX-License-Identifier: BSD-2-Clause
"""OS definitions, as all nodes together see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from ganeti.query.fields import Field, FieldType, Source, Table
from ganeti.views.os_definitions import IDefinition, common, first_ones, gathered, is_good_on_all
from ganeti.views.snapshot import ClusterSnapshot


class IOSDefinition(IDefinition, Protocol):
    """An OS definition as one node sees it."""

    @property
    def variants(self) -> Sequence[str]: ...
    @property
    def api_versions(self) -> Sequence[int]: ...
    @property
    def trusted(self) -> bool: ...


@dataclass(frozen=True)
class OSRow:
    """An OS definition: what each node that answered has of it, by the node's name."""

    moment: ClusterSnapshot
    name: str
    nodes: Mapping[str, Sequence[IOSDefinition]]

    @cached_property
    def definitions(self) -> list[IOSDefinition]:
        return first_ones(self.nodes)

    @property
    def valid(self) -> bool:
        """Whether it works on every node."""
        return is_good_on_all(self.nodes)

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
        """The names that an instance can be installed with: one for each variant, if any."""
        return [f"{self.name}+{variant}" for variant in self.variants] or [self.name]

    @property
    def node_status(self) -> dict[str, list[list[Any]]]:
        return {node: [_told(each) for each in found] for node, found in self.nodes.items()}


def _told(each: IOSDefinition) -> list[Any]:
    return [
        each.path,
        each.valid,
        each.diagnosis,
        list(each.variants),
        [list(parameter) for parameter in each.parameters],
        list(each.api_versions),
        each.trusted,
    ]


def _field(name: str, title: str, kind: FieldType, text: str, value: Any) -> Field[OSRow]:
    return Field(name, title, kind, text, value, Source.FILES)


OSES: Table[OSRow] = Table(
    (
        _field("name", "Name", FieldType.TEXT, "The definition's name.", lambda row: row.name),
        _field(
            "valid", "Valid", FieldType.BOOL, "Whether it works on all nodes.", lambda r: r.valid
        ),
        _field(
            "hidden", "Hidden", FieldType.BOOL, "Whether lists leave it out.", lambda r: r.hidden
        ),
        _field(
            "blacklisted",
            "Blacklisted",
            FieldType.BOOL,
            "Whether it must not be used.",
            lambda row: row.blacklisted,
        ),
        _field(
            "trusted",
            "Trusted",
            FieldType.BOOL,
            "Whether its scripts run on the node itself.",
            lambda row: all(each.trusted for each in row.definitions),
        ),
        _field("variants", "Variants", FieldType.OTHER, "Its variants.", lambda row: row.variants),
        _field(
            "api_versions",
            "ApiVersions",
            FieldType.OTHER,
            "The versions of the OS interface that it speaks.",
            lambda row: common(row.definitions, lambda each: each.api_versions),
        ),
        _field(
            "parameters",
            "Parameters",
            FieldType.OTHER,
            "Its parameters, each with a help text.",
            lambda row: common(row.definitions, lambda each: map(tuple, each.parameters)),
        ),
        _field(
            "node_status",
            "NodeStatus",
            FieldType.OTHER,
            "What each node has of it.",
            lambda row: row.node_status,
        ),
        _field(
            "os_hvp",
            "OsHypervisorParams",
            FieldType.OTHER,
            "The cluster's hypervisor parameters for it.",
            lambda row: row.moment.cluster.os_hvp.get(row.name, {}),
        ),
        _field(
            "osparams",
            "OsParameters",
            FieldType.OTHER,
            "The cluster's parameters for it.",
            lambda row: row.moment.cluster.osparams.get(row.name, {}),
        ),
    )
)


def rows(
    moment: ClusterSnapshot, said: Mapping[str, Iterable[IOSDefinition] | None]
) -> list[OSRow]:
    """What nodes said of their OS definitions, by node name; None for one without an answer."""
    return [OSRow(moment, name, nodes) for name, nodes in gathered(said).items()]


def usable(found: Iterable[OSRow]) -> list[OSRow]:
    """Those that new instances can be installed with."""
    return [row for row in found if row.valid and not row.hidden and not row.blacklisted]
