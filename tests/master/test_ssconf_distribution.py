# SPDX-License-Identifier: BSD-2-Clause
"""Bringing the ssconf files to the nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.ssconf import KEYS, NAMES_PER_STEP
from ganeti.errors import Failed, NotMaster, Unreachable
from ganeti.master.ssconf_distribution import AGAIN, COLLECT_DELAY, SsconfDistribution
from ganeti.model.node import Node
from ganeti.rpc.call import Call
from ganeti.rpc.node import UpdateSsconfList
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_node, an_instance


class Listeners:
    """Nodes that remember which keys they were told; those that are ``away`` do not hear."""

    def __init__(self) -> None:
        self.told: list[tuple[str, set[str]]] = []
        self.away: set[str] = set()
        self.calls: list[Any] = []
        self.answer: Deferred[None] | None = None

    async def ask(self, node: Node, call: Call[Any]) -> Any:
        raise NotImplementedError

    async def ask_all(self, nodes: Sequence[Node], call: Any) -> Mapping[str, Any | Failed]:
        there = [node for node in nodes if node.name not in self.away]
        keys = {call.key} if isinstance(call, UpdateSsconfList) else set(call.values)
        self.told += [(node.name, keys) for node in there]
        self.calls.append(call)
        if self.answer is not None:
            await self.answer
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
            self.spreading.schedule_update()
        self.clock.advance(seconds)
        return sorted(self.listeners.told, key=lambda each: each[0])  # asked in any order

    def test_at_first_every_node_is_told_everything(self) -> None:
        self.assertEqual(self.spread(), [("node1", set(KEYS)), ("node2", set(KEYS))])
        self.assertEqual(self.spread(), [])

    def test_thousands_of_names_are_sorted_in_several_turns(self) -> None:
        self.having(instances=[f"web{number}" for number in range(2 * NAMES_PER_STEP)])
        told_before_other_work = []
        self.spreading.schedule_update()
        self.clock.callLater(0, lambda: told_before_other_work.append(len(self.listeners.told)))
        self.clock.advance(0)
        self.assertEqual((told_before_other_work, len(self.listeners.told)), ([0], 2))
        names = self.listeners.calls[0].values["instance_list"].splitlines()
        self.assertEqual(names, [f"web{number}" for number in range(2 * NAMES_PER_STEP)])

    def test_then_nodes_are_told_what_is_new(self) -> None:
        self.spread()
        self.having(instances=[an_instance("web1")])
        news = {"instance_list"}
        self.assertEqual(self.spread(), [("node1", news), ("node2", news)])

    def test_of_a_long_list_only_the_changes_are_sent(self) -> None:
        names = [f"web{number}" for number in range(20)]
        self.having(instances=names)
        self.spread()
        self.having(instances=[*names[1:], "db"])
        self.assertEqual(self.spread(), [(node, {"instance_list"}) for node in ("node1", "node2")])
        lines = "".join(f"{name}\n" for name in ("db", *names[1:]))
        change = UpdateSsconfList(
            key="instance_list",
            added=("db",),
            removed=("web0",),
            digest=sha256(lines.encode()).hexdigest(),
        )
        self.assertEqual(self.listeners.calls[-1], change)

    def test_new_instances_and_tags_alone_are_told_later_than_other_changes(self) -> None:
        self.spread()
        before = self.state
        self.state = before.put(an_instance("web1").instance)
        self.spreading.config_changed(self.state, self.state.edits)
        self.assertEqual(self.spread(COLLECT_DELAY), [])
        tagged = before.put(replace(before.cluster, tags=("a",)))
        self.spreading.config_changed(tagged, tagged.edits)
        self.assertEqual(self.spread(COLLECT_DELAY), [])
        node = replace(before.node("node2"), vm_capable=False)
        self.spreading.config_changed(before.put(node), before.put(node).edits)
        self.assertEqual(len(self.spread(COLLECT_DELAY)), 2)

    def test_a_node_that_was_away_is_told_all_that_it_missed(self) -> None:
        self.listeners.away = {"node2"}
        self.assertEqual(self.spread(), [("node1", set(KEYS))])
        self.listeners.away = set()
        self.assertEqual(self.spread(AGAIN), [("node2", set(KEYS))])

    def test_a_distribution_that_is_cancelled_is_no_error(self) -> None:
        self.listeners.answer = Deferred()
        self.spread()
        self.spreading.stop()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertTrue(self.listeners.answer.called)

    def test_another_master_ends_a_distribution_without_an_error_in_the_log(self) -> None:
        self.listeners.answer = fail(NotMaster("node2 is the master"))
        self.spread()
        self.assertEqual(self.flushLoggedErrors(), [])
