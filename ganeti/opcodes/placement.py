# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes that balance node groups, and that count how many more instances fit."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ganeti.model.disk import Template
from ganeti.opcodes import fields
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import Count, Line, Text


class BalanceCluster(Opcode, tag="OP_CLUSTER_BALANCE"):
    """Submit jobs that move instances so that the nodes of each group are used evenly."""

    summary_field = "group_name"

    group_name: fields.OnlyGroup = None
    nodes: Annotated[
        tuple[Text, ...], doc("Move only instances that are on one of these nodes.")
    ] = ()
    tags: Annotated[tuple[Line, ...], doc("Move only instances with one of these tags.")] = ()
    max_moves: Annotated[Count | None, doc("Move at most this number of instances.")] = None
    min_gain: Annotated[
        float, Meta(ge=0, le=1000), doc("Make only moves that lower the score by this.")
    ] = 0.01
    disk_moves: Annotated[bool, doc("Replace secondary nodes, which copies disks.")] = True
    time_limit: Annotated[
        float, Meta(gt=0, le=240), doc("Search for at most this time, in seconds.")
    ] = 10.0
    seed: Annotated[Count, doc("Seed of the search; another one may find another plan.")] = 0


class CountCapacity(Opcode, tag="OP_CLUSTER_CAPACITY"):
    """Return how many more instances of a size, by default the standard one of a policy, fit."""

    # What is not given is that of the standard instance of the policy of each group.

    group_name: fields.OnlyGroup = None
    memory: Annotated[Count | None, doc("Memory in MiB.")] = None
    vcpus: Annotated[Count | None, doc("Number of virtual processors.")] = None
    disk_size: Annotated[Count | None, doc("Size of the disk in MiB.")] = None
    spindle_use: Annotated[Count | None, doc("Number of disk spindles in use.")] = None
    disk_template: Annotated[
        Template | None, doc("Disk template; by default the first enabled one.")
    ] = None
