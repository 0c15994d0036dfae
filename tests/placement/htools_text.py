# SPDX-License-Identifier: BSD-2-Clause
"""Reads and writes clusters in the text format of Ganeti's htools; see htools(1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ganeti.placement.cluster_model import (
    ClusterModel,
    InstanceModel,
    NodeModel,
    NodeState,
    Storage,
)

STORAGE = {"drbd": Storage.MIRRORED, "plain": Storage.LOCAL, "file": Storage.LOCAL}


@dataclass(frozen=True)
class TextCluster:
    """A cluster, and the sections of its text."""

    model: ClusterModel
    groups: Sequence[str]
    nodes: Sequence[list[str]]
    instances: Sequence[list[str]]
    tags: Sequence[str]
    policies: Sequence[str]

    def write(self, places: dict[str, tuple[str, str | None]]) -> str:
        """Return the text with some instances on other nodes."""
        free = {row[0]: [int(row[3]), int(row[5])] for row in self.nodes}
        rows = []
        for row in self.instances:
            row = list(row)
            primary, secondary = places.get(row[0], (row[6], row[7] or None))
            if (primary, secondary or "") != (row[6], row[7]):
                free[row[6]][0] += int(row[1])
                free[primary][0] -= int(row[1])
                for old in filter(None, (row[6], row[7])):
                    free[old][1] += int(row[2]) if row[8] in ("drbd", "plain") else 0
                for new in filter(None, (primary, secondary)):
                    free[new][1] -= int(row[2]) if row[8] in ("drbd", "plain") else 0
                row[6], row[7] = primary, secondary or ""
            rows.append("|".join(row))
        nodes = []
        for row in self.nodes:
            memory, disk = free[row[0]]
            nodes.append("|".join([*row[:3], str(memory), row[4], str(disk), *row[6:]]))
        sections = (self.groups, nodes, rows, self.tags, self.policies)
        return "\n\n".join("\n".join(each) for each in sections) + "\n"


def read(text: str) -> TextCluster:
    """Read a cluster."""
    sections: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line:
            sections[-1].append(line)
        else:
            sections.append([])
    sections += [[] for _ in range(5)]
    groups, nodes, instances, tags, policies = sections[:5]
    names = {fields[1]: fields[0] for fields in (line.split("|") for line in groups)}
    ratios = {}
    for line in policies:
        owner, *_, vcpus, spindles = line.split("|")
        ratios[owner] = float(vcpus), float(spindles)
    exclusion = _suffixes(tags, "htools:iextags:")
    domains = _suffixes(tags, "htools:nlocation:")
    rows = [line.split("|") for line in instances]
    columns = [line.split("|") for line in nodes]
    return TextCluster(
        ClusterModel(
            nodes=tuple(_node(each, names, ratios, domains) for each in columns),
            instances=tuple(_instance(each, exclusion) for each in rows),
        ),
        groups,
        columns,
        rows,
        tags,
        policies,
    )


def _suffixes(tags: Iterable[str], prefix: str) -> tuple[str, ...]:
    return tuple(tag.removeprefix(prefix) + ":" for tag in tags if tag.startswith(prefix))


def _node(
    fields: list[str],
    names: dict[str, str],
    ratios: dict[str, tuple[float, float]],
    domains: tuple[str, ...],
) -> NodeModel:
    name, memory, _, free, disk, disk_free, cpus, role, group, *rest = fields
    vcpus, spindle_ratio = ratios.get(names[group], ratios.get("", (4.0, 32.0)))
    tags = rest[1].split(",") if len(rest) > 1 else []
    offline = role == "Y"
    return NodeModel(
        name=name,
        group=names[group],
        memory=0 if offline else int(memory),
        memory_free=0 if offline else int(free),
        disk=0 if offline else int(disk),
        disk_free=0 if offline else int(disk_free),
        cpus=0 if offline else int(cpus),
        state=NodeState.OFFLINE if offline else NodeState.USABLE,
        cpus_node=1,
        spindles=int(rest[0]) if rest and rest[0] else 1,
        vcpu_ratio=vcpus,
        spindle_ratio=spindle_ratio,
        domains=tuple(tag for tag in tags if domains and tag.startswith(domains)),
    )


def _instance(fields: list[str], exclusion: tuple[str, ...]) -> InstanceModel:
    name, memory, disk, vcpus, status, balanced, primary, secondary, template, *rest = fields
    storage = STORAGE.get(template, Storage.SHARED)
    shared = storage is Storage.SHARED
    tags = rest[0].split(",") if rest else []
    return InstanceModel(
        name=name,
        memory=int(memory),
        disk=0 if shared else int(disk),
        vcpus=int(vcpus),
        storage=storage,
        primary=primary,
        secondary=secondary or None,
        spindles=0 if shared else int(rest[1]) if len(rest) > 1 else 1,
        reserved=int(memory) if secondary and balanced == "Y" else 0,
        running=status in ("running", "ERROR_up"),
        exclusion_tags=tuple(tag for tag in tags if exclusion and tag.startswith(exclusion)),
    )
