# SPDX-License-Identifier: BSD-2-Clause
"""What the master knows of its nodes' present."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Unreachable
from ganeti.master.node_status_cache import NodeStatusCache, WatchedNodes
from ganeti.model.guest import GuestState
from ganeti.model.node import Node
from ganeti.rpc.call import Call
from ganeti.rpc.instances import StopInstance
from ganeti.rpc.node import NodeInfo
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_node

FACTS = NodeInfo(
    memory_total=1024,
    memory_free=512,
    memory_node=100,
    cpus=2,
    cpu_nodes=1,
    cpu_sockets=1,
    cpus_node=1,
    boot_id="boot",
    guests={},
    storage=(),
    problems={},
)


def a_state(name: str) -> GuestState:
    return GuestState(name=name, memory=1, vcpus=1)


class SlowNodes:
    """Nodes whose answers the test gives."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Deferred[Any]]] = []
        self.calls: list[Call[Any]] = []

    async def ask(self, node: Node, call: Call[Any]) -> Any:
        answer: Deferred[Any] = Deferred()
        self.asked.append((node.name, answer))
        self.calls.append(call)
        return await answer

    async def ask_all(self, nodes: Sequence[Node], call: Call[Any]) -> Mapping[str, Any | Failed]:
        return {node.uuid: await self.ask(node, call) for node in nodes}


class LiveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.nodes = SlowNodes()
        self.state = a_cluster(nodes=[a_node("node1"), a_node("node2", offline=True)])
        self.live = NodeStatusCache(self.nodes, lambda: self.state, self.clock)
        self.node = self.state.node("node1")

    def refresh(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.live.refresh(list(self.state.nodes.values())))

    def test_many_who_ask_share_one_question(self) -> None:
        asking = [self.refresh() for _ in range(5)]
        self.assertEqual(len(self.nodes.asked), 1)
        self.nodes.asked[0][1].callback(FACTS)
        for each in asking:
            self.successResultOf(each)
        self.assertEqual(self.live.facts(self.node.uuid), FACTS)

    def test_a_fresh_answer_is_not_asked_for_again(self) -> None:
        self.refresh()
        self.nodes.asked[0][1].callback(FACTS)
        self.clock.advance(4)
        self.successResultOf(self.refresh())
        self.assertEqual(len(self.nodes.asked), 1)
        self.assertEqual(self.live.age(self.node.uuid), 4)

    async def confirm(self) -> None:
        """The lease is in force."""

    def test_jobs_ask_only_while_the_lease_is_in_force(self) -> None:
        lease: Deferred[None] = Deferred()

        async def confirm() -> None:
            await lease

        watched = WatchedNodes(self.nodes, self.live.invalidate, confirm)
        stop = StopInstance(instance_name="web1", hypervisor="fake", timeout=1)
        Deferred.fromCoroutine(watched.ask(self.node, stop))
        self.assertEqual(self.nodes.asked, [])
        lease.callback(None)
        self.assertEqual(len(self.nodes.asked), 1)

    def test_what_a_job_does_makes_the_answer_old(self) -> None:
        self.refresh()
        self.nodes.asked[0][1].callback(FACTS)
        watched = WatchedNodes(self.nodes, self.live.invalidate, self.confirm)
        stop = StopInstance(instance_name="web1", hypervisor="fake", timeout=1)
        Deferred.fromCoroutine(watched.ask(self.node, stop))
        self.nodes.asked[1][1].callback(None)
        self.refresh()
        self.assertEqual(len(self.nodes.asked), 3)
        self.nodes.asked[2][1].callback(FACTS)

    def test_nobody_waits_for_a_silent_node_for_long(self) -> None:
        asking = self.refresh()
        self.assertNoResult(asking)
        self.clock.advance(2)
        self.successResultOf(asking)
        self.assertIsNone(self.live.facts(self.node.uuid))
        self.nodes.asked[0][1].callback(FACTS)
        self.assertEqual(self.live.facts(self.node.uuid), FACTS)

    def test_a_node_in_trouble_has_no_facts(self) -> None:
        self.refresh()
        self.nodes.asked[0][1].callback(FACTS)
        self.clock.advance(10)
        asking = self.refresh()
        self.nodes.asked[1][1].errback(Unreachable("node1", "no route"))
        self.successResultOf(asking)
        self.assertIsNone(self.live.facts(self.node.uuid))

    def test_of_a_guest_that_a_job_has_started_only_that_is_asked(self) -> None:
        self.refresh()
        self.nodes.asked[0][1].callback(replace(FACTS, guests={"db": a_state("db")}))
        watched = WatchedNodes(self.nodes, self.live.invalidate, self.confirm)
        stop = StopInstance(instance_name="web1", hypervisor="fake", timeout=1)
        Deferred.fromCoroutine(watched.ask(self.node, stop))
        self.nodes.asked[1][1].callback(None)
        asking = self.refresh()
        self.assertEqual(getattr(self.nodes.calls[2], "only", None), ("web1",))
        self.nodes.asked[2][1].callback(replace(FACTS, memory_free=7))
        self.successResultOf(asking)
        known = replace(FACTS, memory_free=7, guests={"db": a_state("db")})
        self.assertEqual(self.live.facts(self.node.uuid), known)

    def test_the_news_of_a_guest_replace_what_was_known_of_it(self) -> None:
        self.refresh()
        self.nodes.asked[0][1].callback(replace(FACTS, guests={"db": a_state("db")}))
        self.live.invalidate(self.node.uuid, "db")
        self.refresh()
        self.nodes.asked[1][1].callback(FACTS)
        self.assertEqual(self.live.facts(self.node.uuid), FACTS)

    def test_after_a_while_everything_is_asked_for_again(self) -> None:
        self.refresh()
        self.nodes.asked[0][1].callback(FACTS)
        self.live.invalidate(self.node.uuid, "db")
        self.clock.advance(6)
        self.refresh()
        self.assertIsNone(getattr(self.nodes.calls[1], "only", ""))
        self.nodes.asked[1][1].callback(FACTS)

    def test_an_answer_with_a_problem_is_no_news_of_a_guest(self) -> None:
        self.refresh()
        self.nodes.asked[0][1].callback(replace(FACTS, guests={"db": a_state("db")}))
        self.live.invalidate(self.node.uuid, "db")
        self.refresh()
        self.nodes.asked[1][1].callback(replace(FACTS, problems={"kvm": "broken"}))
        self.nodes.asked[2][1].callback(replace(FACTS, guests={"db": a_state("db")}))
        found = self.live.facts(self.node.uuid)
        self.assertEqual(found and set(found.guests), {"db"})

    def recent(self, max_age: float) -> Deferred[Mapping[str, NodeInfo | Failed]]:
        return Deferred.fromCoroutine(self.live.recent([self.node], max_age))

    def test_an_answer_that_is_recent_enough_is_not_asked_for_again(self) -> None:
        self.refresh()
        self.nodes.asked[0][1].callback(FACTS)
        self.clock.advance(8)
        self.assertEqual(self.successResultOf(self.recent(10)), {self.node.uuid: FACTS})
        asking = self.recent(5)
        self.assertNoResult(asking)
        self.nodes.asked[1][1].callback(FACTS)
        self.successResultOf(asking)

    def test_what_a_job_has_changed_is_never_recent(self) -> None:
        self.refresh()
        self.nodes.asked[0][1].callback(FACTS)
        self.live.invalidate(self.node.uuid)
        self.assertNoResult(self.recent(10))
        self.nodes.asked[1][1].callback(FACTS)

    def test_a_node_in_trouble_is_asked_each_time(self) -> None:
        trouble = Unreachable("node1", "no route")
        for number in range(2):
            asking = self.recent(10)
            self.nodes.asked[number][1].errback(trouble)
            self.assertEqual(self.successResultOf(asking), {self.node.uuid: trouble})

    def test_an_offline_node_is_not_asked(self) -> None:
        self.refresh()
        self.assertEqual([name for name, _ in self.nodes.asked], ["node1"])
        self.nodes.asked[0][1].callback(FACTS)

    def tearDown(self) -> None:
        self.live.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
