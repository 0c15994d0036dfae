# SPDX-License-Identifier: BSD-2-Clause
"""Nodes keep the status cache current by their reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import RecordEdit, RecordKind
from ganeti.errors import Failed, Unreachable
from ganeti.master.node_status_cache import NodeStatusCache, WatchedNodes
from ganeti.master.status_watch import RETRY_INTERVALS, START_INTERVAL, StatusWatch
from ganeti.model.guest import GuestState
from ganeti.model.node import Node
from ganeti.rpc.call import Call
from ganeti.rpc.instances import BalloonMemory, RebootInstanceCall, RebootMethod, StopInstance
from ganeti.rpc.node import NodeInfo, StatusReport, WatchNode
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_guest, a_node
from ganeti.testing.facts import some_facts

STOP = StopInstance(instance_name="web1", hypervisor="fake", timeout=1)


class ReportingNodes:
    """Nodes that report what the test says; ``watching`` are the calls that wait, by node."""

    def __init__(self) -> None:
        self.watching: dict[str, tuple[WatchNode, Deferred[Any]]] = {}
        self.others: list[Call[Any]] = []

    async def ask(self, node: Node, call: Call[Any]) -> Any:
        if not isinstance(call, WatchNode):
            self.others.append(call)
            return some_facts()
        answer: Deferred[Any] = Deferred()
        self.watching[node.name] = call, answer
        try:
            return await answer
        finally:
            if self.watching.get(node.name, (None, None))[1] is answer:
                del self.watching[node.name]

    async def ask_all(self, nodes: Sequence[Node], call: Call[Any]) -> Mapping[str, Any | Failed]:
        return {node.uuid: await self.ask(node, call) for node in nodes}

    def report(self, name: str, position: str, info: NodeInfo, **how: Any) -> None:
        self.watching[name][1].callback(StatusReport(position=position, info=info, **how))


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.nodes = ReportingNodes()
        self.state = a_cluster(nodes=[a_node("node1"), a_node("node2", offline=True)])
        self.live = NodeStatusCache(self.nodes, lambda: self.state, self.clock)
        self.watch = StatusWatch(self.nodes, self.live, lambda: self.state, self.clock)
        self.node = self.state.node("node1")
        self.watch.start()
        self.clock.advance(len(self.state.nodes) * START_INTERVAL)
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(self.watch.stop)

    def guests(self) -> list[str]:
        facts = self.live.facts(self.node.uuid)
        assert facts is not None
        return sorted(facts.guests)

    def test_online_nodes_are_watched(self) -> None:
        self.assertEqual(list(self.nodes.watching), ["node1"])

    def test_reports_follow_each_other(self) -> None:
        self.nodes.report("node1", "a", some_facts(runs=["web1", "web2"]))
        self.assertEqual(self.nodes.watching["node1"][0].since, "a")
        self.nodes.report("node1", "b", some_facts(runs=["web3"]), whole=False, gone=("web1",))
        self.assertEqual(self.guests(), ["web2", "web3"])
        self.assertEqual(self.nodes.watching["node1"][0].since, "b")

    def test_a_query_does_not_wait_for_a_node_that_reports(self) -> None:
        self.nodes.report("node1", "a", some_facts(runs=["web1"]))
        self.clock.advance(1000)
        self.live.invalidate(self.node.uuid)
        self.successResultOf(Deferred.fromCoroutine(self.live.refresh([self.node])))
        self.assertEqual((self.guests(), self.nodes.others), (["web1"], []))

    def test_what_a_job_has_stopped_is_not_shown_before_the_node_reports_it(self) -> None:
        async def confirm() -> None:
            """The lease is in force."""

        self.nodes.report("node1", "a", some_facts(runs=["web1", "web2"]))
        jobs = WatchedNodes(self.nodes, self.live.invalidate, confirm, self.live.succeeded)
        self.successResultOf(Deferred.fromCoroutine(jobs.ask(self.node, STOP)))
        self.assertEqual(self.guests(), ["web2"])

    def test_what_a_job_has_rebooted_is_shown_with_its_new_settings(self) -> None:
        self.nodes.report("node1", "a", some_facts(runs=["web1"]))
        guest = a_guest("web1", beparams={"maxmem": 256, "minmem": 256, "vcpus": 2})
        reboot = RebootInstanceCall(guest=guest, kind=RebootMethod.HARD, timeout=1)
        self.live.succeeded(self.node.uuid, reboot)
        facts = self.live.facts(self.node.uuid)
        assert facts is not None
        self.assertEqual(facts.guests["web1"], GuestState(name="web1", memory=256, vcpus=2))

    def test_what_a_job_has_given_or_taken_of_the_memory_is_shown(self) -> None:
        self.nodes.report("node1", "a", some_facts(runs=["web1"]))
        for name in ("web1", "web2"):
            call = BalloonMemory(guest=a_guest(name), memory=96)
            self.live.succeeded(self.node.uuid, call)
        facts = self.live.facts(self.node.uuid)
        assert facts is not None
        expected = {"web1": GuestState(name="web1", memory=96, vcpus=1)}
        self.assertEqual(dict(facts.guests), expected)

    def test_an_allocation_asks_a_node_that_a_job_has_changed(self) -> None:
        self.nodes.report("node1", "a", some_facts(runs=["web1"]))
        self.live.invalidate(self.node.uuid, "web1")
        self.successResultOf(Deferred.fromCoroutine(self.live.recent([self.node], 5.0)))
        self.assertEqual(len(self.nodes.others), 1)

    def fail_call(self, pause: float) -> None:
        """Let the call of node1 fail, and wait for the next one."""
        self.nodes.watching["node1"][1].errback(Unreachable("node1", "it is silent"))
        self.assertEqual(self.nodes.watching, {})
        self.clock.advance(pause)

    def test_after_an_error_a_node_is_called_for_a_whole_report(self) -> None:
        self.nodes.report("node1", "a", some_facts(runs=["web1"]))
        self.fail_call(RETRY_INTERVALS[0])
        self.assertEqual(self.guests(), ["web1"])
        call, _ = self.nodes.watching["node1"]
        self.assertEqual((call.since, call.wait), ("", 0.0))

    def test_after_a_second_error_nothing_is_known_of_a_node(self) -> None:
        self.nodes.report("node1", "a", some_facts(runs=["web1"]))
        self.fail_call(RETRY_INTERVALS[0])
        self.fail_call(RETRY_INTERVALS[1])
        self.assertIsNone(self.live.facts(self.node.uuid))
        self.successResultOf(Deferred.fromCoroutine(self.live.refresh([self.node])))
        self.assertEqual(self.nodes.others, [])
        for pause in (*RETRY_INTERVALS[2:], RETRY_INTERVALS[-1]):
            self.fail_call(pause)
        self.nodes.report("node1", "b", some_facts(runs=["web1"]))
        self.assertEqual(self.guests(), ["web1"])

    def test_changes_to_something_unknown_are_followed_by_a_whole_report(self) -> None:
        self.nodes.report("node1", "a", some_facts(), whole=False)
        self.assertIsNone(self.live.facts(self.node.uuid))
        self.assertEqual(self.nodes.watching["node1"][0].since, "")

    def test_a_node_whose_daemon_knows_no_reports_is_asked(self) -> None:
        self.nodes.watching["node1"][1].errback(Unreachable("node1", "unknown call"))
        Deferred.fromCoroutine(self.live.refresh([self.node]))
        self.assertEqual(len(self.nodes.others), 1)

    def set_offline(self, name: str, offline: bool) -> None:
        node = self.state.node(name)
        edit = RecordEdit(RecordKind.NODE, node.uuid, replace(node, offline=offline), node)
        self.state = self.state.put(replace(node, offline=offline))
        self.watch.config_changed([edit])
        self.clock.advance(0)

    def test_nodes_that_become_online_are_watched_and_others_no_more(self) -> None:
        self.set_offline("node2", False)
        self.assertEqual(sorted(self.nodes.watching), ["node1", "node2"])
        self.set_offline("node1", True)
        self.assertEqual(list(self.nodes.watching), ["node2"])

    def test_observers_see_each_report(self) -> None:
        seen: list[object] = []
        self.live.observe(lambda uuid, answer: seen.append(answer))
        self.nodes.report("node1", "a", some_facts(runs=["web1"]))
        paused = GuestState(name="web1", memory=128, vcpus=1, paused=True)
        change = replace(some_facts(), guests={"web1": paused})
        self.nodes.report("node1", "b", change, whole=False)
        self.assertEqual(seen, [some_facts(runs=["web1"]), change])
