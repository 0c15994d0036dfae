# SPDX-License-Identifier: BSD-2-Clause
"""Policies, settings and maintenance of the failover of guests, and rehearsals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config import access_file
from ganeti.config.changes.instances import remove_instance
from ganeti.config.changes.nodes import set_role
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused, TermNotGranted, Unreachable
from ganeti.model.disk import MIRRORED_TEMPLATES, SHARED_TEMPLATES, SUPPORTED_TEMPLATES, Template
from ganeti.model.failover import (
    FailoverPolicy,
    FenceMethod,
    FenceStage,
    GuardKind,
    InstanceFailover,
    NodeFence,
    NodeGuard,
    NodeMaintenance,
)
from ganeti.model.node import NodeRole
from ganeti.opcodes.failover import (
    ConfirmNodeOff,
    ModifyFailover,
    RehearseFailure,
    SetFailoverPolicy,
    SetNodeMaintenance,
    SurveyFailures,
)
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.cluster import rehearsal
from ganeti.operations.cluster.failover_findings import failover_findings
from ganeti.operations.guest_failover import (
    ask_whether_off,
    plan_confirmation,
    plan_maintenance,
    plan_policy,
    plan_settings,
)
from ganeti.operations.operation import NodeAnswers, NodeQuery
from ganeti.placement.solver import solve
from ganeti.rpc.call import Call
from ganeti.rpc.node import AskVersion, DescribeNode, NodeInfo, Version
from ganeti.testing.builders import SINCE, a_cluster, a_disk, a_node, an_instance, uuid_of
from ganeti.testing.facts import some_facts
from tests.operations.whole import WholeCluster

NODES = ("node1", "node2", "node3")


def founded() -> ClusterState:
    local = an_instance("db1", node="node2", disks=[a_disk("disk1", Template.PLAIN)])
    return a_cluster(nodes=NODES, instances=[an_instance("web1", node="node2"), local])


class SettingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.whole = WholeCluster(founded())

    @property
    def state(self) -> ClusterState:
        return self.whole.state

    def do(self, name: str, **fields: Any) -> None:
        self.successResultOf(self.whole.do(name, **fields))

    def refusal(self, name: str, **fields: Any) -> str:
        return str(self.failureResultOf(self.whole.do(name, **fields), Refused).value)

    def test_a_policy_and_a_rank_are_set_and_reset(self) -> None:
        uuid = uuid_of("instance", "web1")
        self.do("OP_INSTANCE_SET_FAILOVER", instance_name="web1", policy="failover", rank=3)
        found = self.state.failover_policies[uuid]
        self.assertEqual((found.policy, found.rank), (FailoverPolicy.FAILOVER, 3))
        self.do("OP_INSTANCE_SET_FAILOVER", instance_name="web1", policy="off", rank=0)
        self.assertNotIn(uuid, self.state.failover_policies)

    def test_an_instance_with_local_disks_can_only_restart(self) -> None:
        refused = self.refusal("OP_INSTANCE_SET_FAILOVER", instance_name="db1", policy="failover")
        self.assertIn("are on one node only", refused)
        self.do("OP_INSTANCE_SET_FAILOVER", instance_name="db1", policy="restart")

    def test_nothing_to_change_is_refused(self) -> None:
        self.assertIn("no changes", self.refusal("OP_INSTANCE_SET_FAILOVER", instance_name="web1"))
        self.assertIn("no changes", self.refusal("OP_CLUSTER_SET_FAILOVER"))

    def test_settings_survive_a_restart(self) -> None:
        self.do("OP_CLUSTER_SET_FAILOVER", max_nodes=2, window=60, require_device=True)
        again = access_file.restore(founded(), access_file.text(self.state))
        found = again.failover_settings
        self.assertEqual((found.max_nodes, found.window, found.require_device), (2, 60, True))

    def test_a_maintenance_takes_the_guards_away_in_the_same_commit(self) -> None:
        for name, fields in (
            ("OP_CLUSTER_SET_FAILOVER", {"maintenance": True}),
            ("OP_NODE_SET_MAINTENANCE", {"node_name": "node2"}),
        ):
            guard = NodeGuard(
                uuid=uuid_of("node", "node2"), kind=GuardKind.DEVICE, timeout=10, electors=()
            )
            self.whole = WholeCluster(founded().put(guard))
            self.do(name, **fields)
            self.assertEqual(dict(self.state.node_guards), {})

    def test_a_node_that_answers_is_not_off(self) -> None:
        refused = self.refusal("OP_NODE_CONFIRM_OFF", node_name="node2")
        self.assertIn("node2 answers, so it is not off", refused)

    def test_a_node_that_is_off_is_marked_offline_and_fenced(self) -> None:
        self.whole.network.remove("node2")
        self.do("OP_NODE_CONFIRM_OFF", node_name="node2")
        node = self.state.node("node2")
        self.assertTrue(node.offline)
        self.assertTrue(self.state.node_fences[node.uuid].candidate)

    def test_the_master_is_not_off(self) -> None:
        refused = self.refusal("OP_NODE_CONFIRM_OFF", node_name="node1")
        self.assertIn("is the master", refused)

    def test_the_policy_of_a_removed_instance_is_removed(self) -> None:
        self.do("OP_INSTANCE_SET_FAILOVER", instance_name="web1", policy="restart")
        left = remove_instance(self.state.instance("web1"))(self.state)
        self.assertEqual(dict(left.failover_policies), {})


class PlanTests(SynchronousTestCase):
    uuid = uuid_of("node", "node2")
    facts = NodeAnswers(since=SINCE)

    def a_guard(self) -> NodeGuard:
        return NodeGuard(uuid=self.uuid, kind=GuardKind.DEVICE, timeout=10, electors=())

    def confirm(self, state: ClusterState, answer: Version | Failed | None) -> ClusterState:
        key: tuple[str, type[Call[object]]] = (self.uuid, AskVersion)
        facts = replace(self.facts, answers={} if answer is None else {key: answer})
        op = ConfirmNodeOff(node_name="node2")
        return plan_confirmation(op, state, facts).change(state)

    def test_a_failover_needs_disks_that_another_node_has(self) -> None:
        op = SetFailoverPolicy(instance_name="db1", policy=FailoverPolicy.FAILOVER)
        elsewhere = MIRRORED_TEMPLATES | SHARED_TEMPLATES
        for template in SUPPORTED_TEMPLATES - {Template.DISKLESS}:
            disk = a_disk("disk1", template, nodes=("node1", "node2"))
            state = a_cluster(nodes=NODES, instances=[an_instance("db1", disks=[disk])])
            if template in elsewhere:
                plan_policy(op, state, self.facts)
                continue
            with self.assertRaisesRegex(Refused, rf"db1 \({template.value}\) are on one node only"):
                plan_policy(op, state, self.facts)

    def test_a_rank_alone_keeps_the_policy(self) -> None:
        uuid = uuid_of("instance", "web1")
        known = InstanceFailover(uuid=uuid, policy=FailoverPolicy.RESTART, rank=1)
        state = founded().put(known)
        op = SetFailoverPolicy(instance_name="web1", rank=0)
        found = plan_policy(op, state, self.facts).change(state).failover_policies[uuid]
        self.assertEqual((found.policy, found.rank), (FailoverPolicy.RESTART, 0))

    def test_settings_that_are_not_given_are_kept(self) -> None:
        first = ModifyFailover(max_nodes=2, require_device=True)
        state = plan_settings(first, founded(), self.facts).change(founded())
        second = ModifyFailover(window=0, require_device=False)
        found = plan_settings(second, state, self.facts).change(state).failover_settings
        self.assertEqual((found.max_nodes, found.window, found.require_device), (2, 0, False))

    def test_a_maintenance_has_the_time_of_its_begin_until_it_ends(self) -> None:
        begin, end = (
            plan_maintenance(
                SetNodeMaintenance(node_name="node2", maintenance=wanted), founded(), self.facts
            )
            for wanted in (True, False)
        )
        state = begin.change(founded())
        expected = {self.uuid: NodeMaintenance(uuid=self.uuid, since=SINCE)}
        self.assertEqual(dict(state.node_maintenance), expected)
        self.assertEqual(dict(end.change(state).node_maintenance), {})

    def test_no_plan_waits_for_the_locks_of_jobs_that_wait_for_the_node(self) -> None:
        for plan in (
            plan_policy(SetFailoverPolicy(instance_name="web1", rank=1), founded(), self.facts),
            plan_maintenance(SetNodeMaintenance(node_name="node2"), founded(), self.facts),
        ):
            self.assertEqual(plan.locks, {})

    def test_only_a_node_that_is_not_offline_is_asked_whether_it_is_off(self) -> None:
        op, state = ConfirmNodeOff(node_name="node2"), founded()
        expected = [NodeQuery([state.node("node2")], AskVersion())]
        self.assertEqual(ask_whether_off(op, state), expected)
        self.assertEqual(ask_whether_off(op, state.put(a_node("node2", offline=True))), [])

    def test_a_node_that_answers_is_told_to_be_evacuated_instead(self) -> None:
        with self.assertRaisesRegex(Refused, "while it runs: gnt-node evacuate node2"):
            self.confirm(founded(), Version(protocol=1, release="3.1"))

    def test_a_node_that_answers_with_an_error_runs_as_well(self) -> None:
        for answer in (
            Failed("the node answered version with HTTP status 500"),
            TermNotGranted("node2", "the node has not granted term 7 to node1"),
            None,
        ):
            with self.assertRaisesRegex(Refused, "node node2 answers, so it is not off"):
                self.confirm(founded(), answer)

    def test_a_confirmed_node_is_fenced_offline_and_without_a_guard(self) -> None:
        state = self.confirm(founded().put(self.a_guard()), Unreachable("node2", "no route"))
        node, fence = state.node("node2"), state.node_fences[self.uuid]
        self.assertEqual((node.offline, node.master_candidate), (True, False))
        self.assertEqual(
            (fence.stage, fence.method, fence.since, fence.candidate),
            (FenceStage.FENCED, FenceMethod.PERSON, SINCE, True),
        )
        self.assertEqual(dict(state.node_guards), {})

    def test_a_fence_that_was_decided_before_keeps_its_time_and_reason(self) -> None:
        fence = NodeFence(uuid=self.uuid, since=1.0, reason="it was silent", candidate=True)
        state = founded().put(a_node("node2", offline=True)).put(fence)
        found = self.confirm(state, None).node_fences[self.uuid]
        self.assertEqual((found.since, found.reason, found.candidate), (1.0, "it was silent", True))
        self.assertEqual(found.method, FenceMethod.PERSON)


class FindingTests(SynchronousTestCase):
    def setUp(self) -> None:
        uuid = uuid_of("instance", "web1")
        policy = InstanceFailover(uuid=uuid, policy=FailoverPolicy.FAILOVER)
        self.state = founded().put(policy)
        self.node = self.state.node("node2")

    def guard(self, kind: GuardKind) -> ClusterState:
        return self.state.put(NodeGuard(uuid=self.node.uuid, kind=kind, timeout=10, electors=()))

    def texts(self, state: ClusterState) -> list[str]:
        return [each.message for each in failover_findings(state)]

    def test_a_node_without_a_guard_is_named(self) -> None:
        [text] = self.texts(self.state)
        self.assertIn("a person has to confirm that it is off", text)

    def test_a_weak_guard_is_named_and_a_device_is_not(self) -> None:
        [text] = self.texts(self.guard(GuardKind.PROCESS))
        self.assertIn("it has no watchdog device", text)
        self.assertEqual(self.texts(self.guard(GuardKind.DEVICE)), [])

    def test_too_few_nodes_are_named(self) -> None:
        away = set_role(self.state.node("node3"), NodeRole.OFFLINE)(self.state)
        [text] = self.texts(away)
        self.assertIn("a witness is sufficient", text)

    def test_a_fence_is_named(self) -> None:
        fence = NodeFence(uuid=self.node.uuid, since=1.0, reason="it was silent")
        [text] = self.texts(self.state.put(fence))
        self.assertIn("it is being fenced: it was silent", text)


class RehearsalTests(SynchronousTestCase):
    def setUp(self) -> None:
        whole = WholeCluster(founded())
        fields = {"instance_name": "web1", "policy": "failover"}
        self.successResultOf(whole.do("OP_INSTANCE_SET_FAILOVER", **fields))
        self.state = whole.state

    def answer(self, op: Opcode) -> dict[str, Any]:
        """Return the answer of an operation, with the search that it asks for."""
        answers: dict[tuple[str, type[Call[object]]], NodeInfo] = {
            (node.uuid, DescribeNode): some_facts() for node in self.state.nodes.values()
        }
        [operation] = [each for each in rehearsal.OPERATIONS if each.opcode is type(op)]
        facts = NodeAnswers(answers)
        steps = operation.search(op, self.state, facts)
        assert steps is not None
        while True:
            try:
                next(steps)
            except StopIteration as end:
                facts = replace(facts, solution=solve(end.value))
                found: dict[str, Any] = operation.plan(op, self.state, facts).answer
                return found

    def test_without_a_guard_a_person_has_to_confirm_it(self) -> None:
        found = self.answer(RehearseFailure(node_names=("node2",)))
        self.assertEqual(found["fences"], [["node2", "person", None]])
        self.assertEqual(found["placements"], [["web1", "node2", "node3", None]])
        self.assertEqual(
            found["refusals"], [["db1", "node2", "its failover policy is not failover"]]
        )

    def test_with_a_guard_the_time_is_estimated(self) -> None:
        uuid = uuid_of("node", "node2")
        self.state = self.state.put(
            NodeGuard(uuid=uuid, kind=GuardKind.DEVICE, timeout=10, electors=(NODES,))
        )
        found = self.answer(RehearseFailure(node_names=("node2",)))
        self.assertEqual(found["fences"], [["node2", "device", 30.0]])
        self.assertEqual(found["placements"], [["web1", "node2", "node3", 33]])

    def test_a_survey_names_nodes_without_a_guard(self) -> None:
        found = self.answer(SurveyFailures())
        self.assertEqual((found["instances"], found["single"]), (1, []))
        self.assertEqual(found["unguarded"], ["node2"])
