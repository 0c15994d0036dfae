# SPDX-License-Identifier: BSD-2-Clause
"""Bringing the ssconf files to the nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.ssconf import KEYS
from ganeti.errors import Failed, Unreachable
from ganeti.master.ssconf_distribution import AGAIN, SsconfDistribution
from ganeti.model.node import Node
from ganeti.rpc.call import Call
from ganeti.testing.builders import a_cluster, a_node, an_instance


class Listeners:
    """Nodes that remember which keys they were told; those that are ``away`` do not hear."""

    def __init__(self) -> None:
        self.told: list[tuple[str, set[str]]] = []
        self.away: set[str] = set()

    async def ask(self, node: Node, call: Call[Any]) -> Any:
        raise NotImplementedError

    async def ask_all(self, nodes: Sequence[Node], call: Any) -> Mapping[str, Any | Failed]:
        there = [node for node in nodes if node.name not in self.away]
        self.told += [(node.name, set(call.values)) for node in there]
        away = {node.uuid: Unreachable(node.name, "gone") for node in nodes if node not in there}
        return {**dict.fromkeys(node.uuid for node in there), **away}


class SpreadingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.listeners = Listeners()
        self.having()
        self.spreading = SsconfDistribution(self.listeners, lambda: self.state, self.clock, "1.0")

    def having(self, **over: Any) -> None:
        """Let the cluster be so."""
        self.state = a_cluster(nodes=[a_node("node1"), a_node("node2")], **over)

    def spread(self, seconds: float = 0) -> list[tuple[str, set[str]]]:
        """What nodes are told when a time has passed."""
        self.listeners.told.clear()
        if not seconds:
            self.spreading.soon()
        self.clock.advance(seconds)
        return sorted(self.listeners.told, key=lambda each: each[0])  # asked in any order

    def test_at_first_every_node_is_told_everything(self) -> None:
        self.assertEqual(self.spread(), [("node1", set(KEYS)), ("node2", set(KEYS))])
        self.assertEqual(self.spread(), [])

    def test_then_nodes_are_told_what_is_new(self) -> None:
        self.spread()
        self.having(instances=[an_instance("web1")])
        news = {"instance_list"}
        self.assertEqual(self.spread(), [("node1", news), ("node2", news)])

    def test_a_node_that_was_away_is_told_all_that_it_missed(self) -> None:
        self.listeners.away = {"node2"}
        self.assertEqual(self.spread(), [("node1", set(KEYS))])
        self.listeners.away = set()
        self.assertEqual(self.spread(AGAIN), [("node2", set(KEYS))])
