# SPDX-License-Identifier: BSD-2-Clause
"""What is to be set right in a node group, from what is seen and what was tried before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

MAX_ATTEMPTS = 5
"""Starts of an instance that does not stay up, until it is left alone."""

FORGOTTEN = 8 * 3600.0
"""Seconds after the last try until none of them counts any more."""

DOWN = "ERROR_down"
"""The status of an instance that is to run and does not, on a node that answers."""

_WITHOUT_DISKS = ("ERROR_nodedown", "ERROR_nodeoffline", "ADMIN_down", "ADMIN_offline")


class NodeRepairState(msgspec.Struct, frozen=True):
    """Which boot of its kernel a node was in."""

    bootid: str


class Tries(msgspec.Struct, frozen=True):
    """How often an instance was started or put in order, and when last (seconds, Unix time)."""

    restart_count: int = 0
    restart_when: float = 0.0
    cleanup_count: int = 0
    cleanup_when: float = 0.0


class RepairState(msgspec.Struct, frozen=True):
    """What is kept of a group from one run to the next; the form is that of existing files."""

    node: dict[str, NodeRepairState] = {}
    instance: dict[str, Tries] = {}


@dataclass(frozen=True)
class InstanceReport:
    """An instance: its status, and the nodes its disks are on, the primary one first."""

    name: str
    status: str
    nodes: tuple[str, ...]
    mirrored: bool


@dataclass(frozen=True)
class Repairs:
    """Instances by name: what is to be started, whose disks activated, what is left alone; and
    the notes for the next run, in which the tries that are to be made now are counted.
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
    """Decide what is to be done; ``boots`` are the nodes, each with its boot if it answers.

    ``counts`` is whether starts are counted. They are not while a node does not answer: a start may
    be refused because of that node, which says nothing of whether the instance stays up.
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
        if name in names and now - each.restart_when < FORGOTTEN
    }
    start, activate, given_up = [], [], []
    for each in instances:
        tried = tries.get(each.name, Tries())
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
            # A start, above, activates the disks of the others.
            activate.append(each.name)
    known = {
        node: NodeRepairState(boot) if boot else notes.node[node]
        for node, boot in boots.items()
        if boot or node in notes.node
    }
    return Repairs(tuple(start), tuple(activate), tuple(given_up), RepairState(known, tries))
