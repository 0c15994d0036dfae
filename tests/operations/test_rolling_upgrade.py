# SPDX-License-Identifier: BSD-2-Clause
"""Nodes are upgraded one after the other: a canary first, the master last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace as replace_tools
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, JobCanceled, Refused, Unreachable
from ganeti.locking.names import CLUSTER, request
from ganeti.opcodes.cluster import UpgradeCluster
from ganeti.opcodes.node import UpgradeNode
from ganeti.operations.cluster.rolling_upgrade import (
    NodeUpgrade,
    cluster_questions,
    node_questions,
    plan_cluster,
    plan_node,
    preview_cluster,
    run_cluster,
    run_node,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.node import (
    FULL_FILE_SYSTEMS,
    AskVersion,
    DescribeNode,
    RunRestrictedCommandCall,
    VerifyNode,
    Version,
)
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_node, an_instance
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools

OLD, NEW = "3.1.0", "3.2.0"


def a_state() -> Any:
    """node1 is the master, node4 a candidate, node5 offline; node3 has the fewest instances."""
    plain: dict[str, Any] = {"master_candidate": False}
    nodes = [
        a_node("node1"),
        a_node("node2", **plain),
        a_node("node3", **plain),
        a_node("node4"),
        a_node("node5", offline=True, **plain),
    ]
    instances = [an_instance(f"web{n}", node=f"node{2 + n // 2}") for n in (0, 1, 2)]
    return a_cluster(nodes=nodes, instances=instances)


def answers(state: Any, **releases: str) -> NodeAnswers:
    """The releases of nodes: the old one, unless others are given."""
    found: dict[Any, Any] = {}
    for node in state.nodes.values():
        release = releases.get(node.name, OLD)
        found[node.uuid, AskVersion] = Version(protocol=0, release=release)
        found[node.uuid, VerifyNode] = {}
    return NodeAnswers(answers=found)


class OrderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = a_state()

    def order(self, **over: Any) -> list[str]:
        op = UpgradeCluster(release=NEW, **over)
        return preview_cluster(plan_cluster(op, self.state, answers(self.state), OLD))

    def refused(self, **over: Any) -> str:
        with self.assertRaises(Refused) as caught:
            self.order(**over)
        return str(caught.exception)

    def test_a_node_with_few_instances_is_the_canary_and_the_master_is_last(self) -> None:
        self.assertEqual(self.order(), ["node3", "node2", "node4", "node1"])

    def test_another_canary_can_be_named_but_not_the_master_or_one_that_is_offline(self) -> None:
        self.assertEqual(self.order(canary="node4"), ["node4", "node3", "node2", "node1"])
        self.assertIn("node1 is the master, which is upgraded last", self.refused(canary="node1"))
        self.assertIn("node5 is offline", self.refused(canary="node5"))

    def test_nodes_that_have_the_release_are_left_out(self) -> None:
        found = answers(self.state, node3=NEW, node4=NEW)
        plan = plan_cluster(UpgradeCluster(release=NEW), self.state, found, OLD)
        self.assertEqual(preview_cluster(plan), ["node2", "node1"])
        self.assertEqual((plan.offline, plan.locks), (("node5",), {}))

    def test_a_node_that_does_not_answer_stops_the_upgrade_before_it_begins(self) -> None:
        found = answers(self.state)
        node = self.state.node("node2")
        gone: Mapping[Any, Any] = {
            **found.answers,
            (node.uuid, AskVersion): Unreachable("node2", "connection refused"),
        }
        with self.assertRaisesRegex(Refused, "gnt-node modify --offline=yes node2"):
            plan_cluster(UpgradeCluster(release=NEW), self.state, replace_answers(found, gone))

    def test_each_job_waits_for_the_success_of_the_one_before(self) -> None:
        op = UpgradeCluster(release=NEW, command="new", timeout=7)
        first, second, *_ = plan_cluster(op, self.state, answers(self.state), OLD).jobs
        made = UpgradeNode(node_name="node3", release=NEW, command="new", timeout=7)
        self.assertEqual(first, (made,))
        depends = ((-1, ("success",)),)
        self.assertEqual(second, (replace(made, node_name="node2", depends=depends),))

    def test_offline_nodes_are_not_asked(self) -> None:
        for question in cluster_questions(UpgradeCluster(release=NEW), self.state):
            self.assertNotIn("node5", [node.name for node in question.nodes])

    def test_nodes_without_space_for_it_stop_the_upgrade_before_it_begins(self) -> None:
        found = answers(self.state, node4=NEW)
        full = {FULL_FILE_SYSTEMS: {"/usr": 12}}
        known: dict[Any, Any] = dict(found.answers)
        for name in ("node2", "node3", "node4"):
            known[self.state.node(name).uuid, VerifyNode] = full
        with self.assertRaises(Refused) as caught:
            plan_cluster(
                UpgradeCluster(release=NEW), self.state, replace_answers(found, known), OLD
            )
        said = str(caught.exception)
        # The fourth has the release already.
        self.assertIn("12 MiB in /usr on node2, 12 MiB in /usr on node3; 256 MiB are", said)
        self.assertIn("Nothing was changed; remove old packages and logs", said)

    def test_a_node_of_a_release_without_the_check_of_its_space_is_upgraded(self) -> None:
        found = answers(self.state)
        node = self.state.node("node2")
        known: dict[Any, Any] = dict(found.answers)
        known[node.uuid, VerifyNode] = {FULL_FILE_SYSTEMS: "no such file"}
        op = UpgradeCluster(release=NEW)
        plan = plan_cluster(op, self.state, replace_answers(found, known), OLD)
        self.assertIn("node2", preview_cluster(plan))

    def test_the_jobs_are_submitted_and_what_is_left_out_is_named(self) -> None:
        tools = MemoryTools(self.state)
        plan = plan_cluster(UpgradeCluster(release=NEW), self.state, answers(self.state), OLD)
        done = self.successResultOf(run_cluster(plan, tools.tools))
        self.assertEqual(len(done["jobs"]), 4)
        self.assertIn("node node5 is offline and is left out", tools.progress.said)
        same = plan_cluster(UpgradeCluster(release=OLD), self.state, answers(self.state), OLD)
        self.assertEqual(self.successResultOf(run_cluster(same, tools.tools)), {"jobs": []})
        self.assertIn("all nodes that are online have this release", tools.progress.said)


def replace_answers(found: NodeAnswers, given: Mapping[Any, Any]) -> NodeAnswers:
    return NodeAnswers(answers=given, identity=found.identity)


class NodeUpgradeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = a_state()
        self.memory = MemoryTools(self.state)
        self.tools = self.memory.tools
        self.nodes = self.memory.nodes
        self.releases: list[str | Exception] = [NEW]
        self.guests: Sequence[str] = ("web0", "web1")
        self.nodes.answers = {
            AskVersion: self.version,
            DescribeNode: self.description,
            RunRestrictedCommandCall: "fetching\ninstalled\n",
        }

    def version(self, name: str, call: Any) -> Any:
        release = self.releases.pop(0) if len(self.releases) > 1 else self.releases[0]
        return release if isinstance(release, Exception) else Version(protocol=0, release=release)

    def description(self, name: str, call: Any) -> Any:
        return some_facts(runs=self.guests)

    def plan(self, name: str = "node2", present: str = OLD, own: str = OLD) -> NodeUpgrade:
        node = self.state.node(name)
        op = UpgradeNode(node_name=name, release=NEW, timeout=5)
        found: dict[Any, Any] = {
            (node.uuid, AskVersion): Version(protocol=0, release=present),
            (node.uuid, DescribeNode): self.description(name, None),
        }
        return plan_node(op, self.state, NodeAnswers(answers=found), own)

    def run_plan(self, plan: NodeUpgrade) -> Any:
        return self.successResultOf(run_node(plan, self.tools))

    def failure(self, plan: NodeUpgrade) -> Failed:
        error = self.failureResultOf(run_node(plan, self.tools), Failed).value
        assert isinstance(error, Failed)
        return error

    def commands(self) -> int:
        return len(self.nodes.calls(RunRestrictedCommandCall))

    def test_the_command_is_run_and_the_node_waited_for(self) -> None:
        self.releases = [OLD, Unreachable("node2", "connection refused"), NEW]
        self.assertEqual(self.run_plan(self.plan()), OLD)
        self.assertEqual(self.commands(), 1)
        _, *said, last = self.memory.progress.said
        self.assertEqual(said, ["upgrade: fetching", "upgrade: installed"])
        self.assertEqual(last, f"node node2 has release {NEW}; its 2 guests run")

    def test_a_command_that_restarts_the_node_daemon_is_not_failed(self) -> None:
        self.nodes.answers[RunRestrictedCommandCall] = Unreachable("node2", "connection lost")
        self.assertEqual(self.run_plan(self.plan()), OLD)

    def test_a_command_that_fails_fails_the_job(self) -> None:
        self.nodes.answers[RunRestrictedCommandCall] = Failed("upgrade exited with code 100")
        self.assertIn("code 100", str(self.failure(self.plan())))

    def test_a_node_that_keeps_its_release_is_named_with_what_it_has(self) -> None:
        self.releases = [OLD]
        error = self.failure(self.plan())
        self.assertIn(f"after 5 seconds: it still has release {OLD}", str(error))
        self.assertIn("repeat gnt-cluster upgrade", str(error))
        self.releases = [Unreachable("node2", "connection refused")]
        self.assertIn("connection refused", str(self.failure(self.plan())))

    def test_a_guest_that_is_lost_stops_the_upgrade_of_the_others(self) -> None:
        plan = self.plan()
        self.guests = ("web1",)
        error = self.failure(plan)
        self.assertIn("guests that ran before do not run: web0. No other node", str(error))
        self.assertEqual(error.code, Code.ENVIRONMENT)

    def test_the_job_of_the_master_lasts_until_its_daemon_stops_and_no_other_runs(self) -> None:
        stops = iter([False, False, True])
        self.tools = replace_tools(self.memory.tools, stopping=lambda: next(stops))
        plan = self.plan("node1")
        self.assertEqual(plan.locks, request(exclusive=[CLUSTER]))
        self.assertEqual(self.run_plan(plan), OLD)
        self.assertEqual((self.commands(), self.nodes.calls(AskVersion)), (1, []))
        self.assertIn("its daemons restart", self.memory.progress.said[-1])

    def test_a_master_daemon_that_is_not_restarted_is_reported(self) -> None:
        error = self.failure(self.plan("node1"))
        self.assertIn("was not restarted within 5 seconds. Look at what upgrade", str(error))

    def test_a_master_whose_node_daemon_alone_has_the_release_is_upgraded(self) -> None:
        found = answers(self.state, **dict.fromkeys(("node1", "node2", "node3", "node4"), NEW))
        again = plan_cluster(UpgradeCluster(release=NEW), self.state, found, OLD)
        self.assertEqual(preview_cluster(again), ["node1"])
        self.tools = replace_tools(self.memory.tools, stopping=lambda: True)
        self.assertEqual(self.run_plan(self.plan("node1", present=NEW)), OLD)
        self.assertEqual(self.commands(), 1)

    def test_a_program_that_installs_another_release_is_reported_at_once(self) -> None:
        self.releases = [OLD, "3.2.1"]
        error = str(self.failure(self.plan()))
        self.assertIn("has installed release 3.2.1 on node node2 instead of 3.2.0", error)
        self.assertIn("repeat gnt-cluster upgrade with --to 3.2.1", error)

    def test_a_node_that_has_the_release_is_left_alone(self) -> None:
        self.assertEqual(self.run_plan(self.plan(present=NEW)), NEW)
        self.assertEqual(self.run_plan(self.plan("node1", present=NEW, own=NEW)), NEW)
        self.assertEqual(self.commands(), 0)

    def test_a_job_that_is_canceled_waits_no_longer(self) -> None:
        self.releases = [OLD]
        self.memory.progress.cancel()
        self.failureResultOf(run_node(self.plan(), self.tools), JobCanceled)

    def test_the_node_is_locked_and_one_that_is_offline_refused(self) -> None:
        self.assertEqual(len(self.plan().locks), 1)
        op = UpgradeNode(node_name="node5", release=NEW)
        with self.assertRaisesRegex(Refused, "node5 is offline"):
            plan_node(op, self.state, NodeAnswers())
        asked = {type(each.call) for each in node_questions(op, self.state)}
        self.assertEqual(asked, {AskVersion, DescribeNode})
