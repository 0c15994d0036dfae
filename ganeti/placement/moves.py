# SPDX-License-Identifier: BSD-2-Clause
"""The moves of an instance between nodes, and the steps that carry them out."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from ganeti.placement.cluster_model import Storage
from ganeti.placement.layout import NOWHERE, Layout
from ganeti.schema.records import Record

Pair: TypeAlias = tuple[int, int]
"""The indexes of a primary and a secondary node."""


class StepKind(enum.StrEnum):
    """What is done with an instance."""

    MIGRATE = "migrate"  # a running instance, without an interruption
    FAILOVER = "failover"  # one that does not run, or whose primary node is offline
    REPLACE_SECONDARY = "replace-secondary"


class Step(Record, array_like=True):
    """One step of a move, and the node that the instance gets by it."""

    kind: StepKind
    node: str


class Move(Record, array_like=True):
    """The move of an instance to other nodes; ``score`` is its group's afterwards."""

    instance: str
    primary: str
    secondary: str | None
    new_primary: str
    new_secondary: str | None
    steps: tuple[Step, ...]
    score: float


def destinations(
    layout: Layout, number: int, targets: Iterable[int], *, copy_disks: bool
) -> Iterator[Pair]:
    """Yield the pairs of nodes that an instance can move to in up to three steps.

    Unless ``copy_disks``, those are left out that need a replacement of the secondary node.
    """
    primary, secondary = layout.primary[number], layout.secondary[number]
    if layout.instances[number].storage is Storage.SHARED:
        for target in targets:
            if target != primary:
                yield target, NOWHERE
        return
    here, there = layout.nodes[primary], layout.nodes[secondary]
    if there.online:
        yield secondary, primary
    if not copy_disks:
        return
    # To pass through the secondary node, the instance needs memory there.
    passes = there.online and there.memory_free >= layout.instances[number].memory
    for target in targets:
        if target in (primary, secondary):
            continue
        # The primary node copies the disks to the new one.
        if here.online:
            yield primary, target
            yield target, primary
        if there.online:
            yield secondary, target
        if passes:
            yield target, secondary


def double_replacements(layout: Layout, number: int, targets: Iterable[int]) -> Iterator[Pair]:
    """Yield the pairs of nodes that replace both nodes of a mirrored instance."""
    primary, secondary = layout.primary[number], layout.secondary[number]
    if secondary == NOWHERE or not layout.nodes[primary].online:
        return
    others = [target for target in targets if target not in (primary, secondary)]
    for first in others:
        for second in others:
            if first != second:
                yield first, second


def is_possible(layout: Layout, number: int, primary: int, secondary: int) -> bool:
    """Return whether the nodes allow the steps of a move, also the one that it passes through."""
    before, copy = layout.primary[number], layout.secondary[number]
    if copy == NOWHERE:
        return True
    if primary == copy:  # first to the secondary node
        return layout.nodes[copy].online
    if secondary == copy:  # through the secondary node
        there = layout.nodes[copy]
        return there.online and there.memory_free >= layout.instances[number].memory
    return layout.nodes[before].online


def describe(layout: Layout, number: int, primary: int, secondary: int, score: float) -> Move:
    """Return the move of an instance from where it is, with its steps."""
    before, copy = layout.primary[number], layout.secondary[number]
    return Move(
        instance=layout.instances[number].name,
        primary=_name(layout, before) or "",
        secondary=_name(layout, copy),
        new_primary=_name(layout, primary) or "",
        new_secondary=_name(layout, secondary),
        steps=tuple(_steps(layout, number, primary, secondary)),
        score=score,
    )


def _name(layout: Layout, index: int) -> str | None:
    return None if index == NOWHERE else layout.nodes[index].model.name


def _steps(layout: Layout, number: int, primary: int, secondary: int) -> Iterator[Step]:
    before, copy = layout.primary[number], layout.secondary[number]
    names = [node.model.name for node in layout.nodes]
    runs = layout.instances[number].running
    first = StepKind.MIGRATE if runs and layout.nodes[before].online else StepKind.FAILOVER
    # After the first step, the instance is on a node that is online.
    later = StepKind.MIGRATE if runs else StepKind.FAILOVER

    def replace(index: int) -> Step:
        return Step(kind=StepKind.REPLACE_SECONDARY, node=names[index])

    if copy == NOWHERE:
        yield Step(kind=first, node=names[primary])
    elif primary == before:
        yield replace(secondary)
    elif primary == copy:
        yield Step(kind=first, node=names[copy])
        if secondary != before:
            yield replace(secondary)
    elif secondary == copy:
        yield Step(kind=first, node=names[copy])
        yield replace(primary)
        yield Step(kind=later, node=names[primary])
    else:
        yield replace(primary)
        yield Step(kind=later, node=names[primary])
        if secondary != before:
            yield replace(secondary)
