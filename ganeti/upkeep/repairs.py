# SPDX-License-Identifier: BSD-2-Clause
"""The decision what to repair in a node group, from its state and earlier attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

MAX_ATTEMPTS = 5
"""Maximum number of starts of an instance that does not stay up."""

ATTEMPT_MEMORY = 8 * 3600.0
"""Seconds after the last attempt until earlier attempts are forgotten."""

DOWN = "ERROR_down"
"""The status of an instance that should be running but is not, on a node that answers."""

_WITHOUT_DISKS = ("ERROR_nodedown", "ERROR_nodeoffline", "ADMIN_down", "ADMIN_offline")


class NodeRepairState(msgspec.Struct, frozen=True):
    """The last observed boot of a node."""

    bootid: str


class RepairAttempts(msgspec.Struct, frozen=True):
    """The attempts to start or clean up an instance, and the times of the last (Unix time)."""

    restart_count: int = 0
    restart_when: float = 0.0
    cleanup_count: int = 0
    cleanup_when: float = 0.0


class RepairState(msgspec.Struct, frozen=True):
    """The state of a group between two runs; the format is that of existing files."""

    node: dict[str, NodeRepairState] = {}
    instance: dict[str, RepairAttempts] = {}


@dataclass(frozen=True)
class InstanceReport:
    """An instance: its status, and the nodes with its disks, the primary node first."""

    name: str
    status: str
    nodes: tuple[str, ...]
    mirrored: bool


@dataclass(frozen=True)
class Repairs:
    """The instances to start, whose disks to activate, and to leave alone, by name.

    ``notes`` is the state for the next run; it counts the attempts that are about to be made.
    """

    start: tuple[str, ...]
    activate: tuple[str, ...]
    given_up: tuple[str, ...]
    notes: RepairState


def repairs(
    notes: RepairState,
    instances: Sequence[InstanceReport],
    boots: dict[str, str | None],
    now: float,
    *,
    counts: bool = True,
) -> Repairs:
    """Decide what to repair; ``boots`` has the boot id of each node, None if it does not answer.

    ``counts`` says whether attempts are counted. They are not while a node does not answer: a start
    may be refused because of that node, which says nothing about the instance.
    """
    rebooted = {
        node
        for node, boot in boots.items()
        if boot and node in notes.node and notes.node[node].bootid != boot
    }
    names = {each.name for each in instances}
    tries = {
        name: each
        for name, each in notes.instance.items()
        if name in names and now - each.restart_when < ATTEMPT_MEMORY
    }
    start, activate, given_up = [], [], []
    for each in instances:
        tried = tries.get(each.name, RepairAttempts())
        if each.status == DOWN and tried.restart_count >= MAX_ATTEMPTS:
            given_up.append(each.name)
        elif each.status == DOWN:
            start.append(each.name)
            if counts:
                count = tried.restart_count + 1
                tries[each.name] = msgspec.structs.replace(
                    tried, restart_count=count, restart_when=now
                )
        elif each.mirrored and each.status not in _WITHOUT_DISKS and rebooted & {*each.nodes[1:]}:
            # The disks of other instances are activated by their start, above.
            activate.append(each.name)
    known = {
        node: NodeRepairState(boot) if boot else notes.node[node]
        for node, boot in boots.items()
        if boot or node in notes.node
    }
    return Repairs(tuple(start), tuple(activate), tuple(given_up), RepairState(known, tries))
