# SPDX-License-Identifier: BSD-2-Clause
"""Moments of clusters for tests of views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.model.guest import GuestState
from ganeti.rpc.node import NodeInfo, StorageSpace
from ganeti.testing.builders import uuid_of
from ganeti.views.node_status import StatusCache
from ganeti.views.snapshot import ClusterSnapshot


def some_facts(*guests: str, **over: Any) -> NodeInfo:
    """What a node says that runs these guests; ``over`` are fields of ``NodeInfo``."""
    fields: dict[str, Any] = {
        "memory_total": 4096,
        "memory_free": 1024,
        "memory_node": 512,
        "cpus": 8,
        "cpu_nodes": 1,
        "cpu_sockets": 2,
        "cpus_node": 1,
        "boot_id": "b00t",
        "guests": {name: GuestState(name=name, memory=256, vcpus=2) for name in guests},
        "storage": (
            StorageSpace(kind="file", name="/srv", size=500, free=400),
            StorageSpace(kind="lvm-vg", name="vg0", size=900, free=700),
        ),
        "problems": {},
    }
    return NodeInfo(**{**fields, **over})


class Told:
    """Nodes, by name, of which this is known."""

    def __init__(self, facts: Mapping[str, NodeInfo]) -> None:
        self.known = {uuid_of("node", name): each for name, each in facts.items()}

    def facts(self, uuid: str) -> NodeInfo | None:
        return self.known.get(uuid)


def a_moment(
    state: ClusterState, facts: Mapping[str, NodeInfo] | None = None, **over: Any
) -> ClusterSnapshot:
    """``state`` with these facts of nodes by name; by default all nodes run nothing."""
    names = [node.name for node in state.nodes.values()]
    told = Told({name: some_facts() for name in names} if facts is None else facts)
    return ClusterSnapshot(state, StatusCache(told).now(state.nodes), **over)


def only(rows: Sequence[list[Any]]) -> list[Any]:
    """The only row."""
    [row] = rows
    return row
