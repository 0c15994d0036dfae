# SPDX-License-Identifier: BSD-2-Clause
"""Disks are activated on one node only, and never taken away from a guest."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused, Unreachable
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.opcodes.instance.disks import ActivateDisks, DeactivateDisks
from ganeti.operations.instance.disks.activate import (
    activate_queries,
    plan_activate,
    plan_deactivate,
    questions,
    run_activate,
    run_deactivate,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.disks import AttachDisk, DescribeDisks, DetachDisk, DiskStatus
from ganeti.rpc.instances import ListGuests
from ganeti.rpc.node import DescribeNode
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools


def a_state(*, offline: str = "", active: bool = False) -> ClusterState:
    """Return web1, stopped, with a mirrored disk on node1 and node2."""
    disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
    web1 = an_instance("web1", disks=[disk], admin_state=AdminState.DOWN, disks_active=active)
    nodes = [a_node(name, offline=name == offline) for name in ("node1", "node2")]
    return a_cluster(nodes=nodes, instances=[web1])


def answers(state: ClusterState, *, runs: str = "", silent: str = "") -> NodeAnswers:
    known: dict[tuple[str, type[Call[object]]], object] = {}
    for node in state.nodes.values():
        facts: object = some_facts(runs=["web1"] if node.name == runs else [])
        known[node.uuid, DescribeNode] = (
            Unreachable(node.name, "x") if node.name == silent else facts
        )
    return NodeAnswers(known)


def activate(state: ClusterState, facts: NodeAnswers | None = None, **fields: Any) -> Any:
    op = ActivateDisks(instance_name="web1", **fields)
    return plan_activate(op, state, facts or answers(state))


def deactivate(state: ClusterState, facts: NodeAnswers | None = None, **fields: Any) -> Any:
    op = DeactivateDisks(instance_name="web1", **fields)
    return plan_deactivate(op, state, facts or answers(state))


class ActivateTests(SynchronousTestCase):
    def perform(self, state: ClusterState, answer: object = "/dev/drbd0", **fields: Any) -> Any:
        def describe(*_: object) -> list[DiskStatus]:
            return [DiskStatus(path="/dev/drbd0")]

        self.memory = MemoryTools(state, {AttachDisk: answer, DescribeDisks: describe})
        return run_activate(activate(state, **fields), self.memory.tools)

    def test_every_possible_host_is_asked_for_the_guest(self) -> None:
        [query] = activate_queries(ActivateDisks(instance_name="web1"), a_state())
        self.assertIsInstance(query.call, ListGuests)
        self.assertEqual([node.name for node in query.nodes], ["node1", "node2"])

    def test_a_guest_on_the_other_node_keeps_its_disks_to_itself(self) -> None:
        with self.assertRaisesRegex(Refused, "running on node2, which is not its primary node"):
            activate(a_state(), answers(a_state(), runs="node2"))
        with self.assertRaisesRegex(Refused, "unknown whether"):
            activate(a_state(), answers(a_state(), silent="node2"))

    def test_an_offline_primary_node_is_refused_but_not_an_offline_secondary(self) -> None:
        reason = "node1 is offline, so the disks of instance web1 cannot be activated"
        with self.assertRaisesRegex(Refused, reason):
            activate(a_state(offline="node1"))
        working = self.perform(a_state(offline="node2"))
        self.assertEqual(len(self.successResultOf(working)), 1)
        self.assertIn("cannot attach disk/0 on node node2: the node is offline", self.said)

    @property
    def said(self) -> str:
        return "\n".join(self.memory.progress.said)

    def test_the_rows_name_the_devices_on_the_primary_node(self) -> None:
        rows = self.successResultOf(self.perform(a_state()))
        self.assertEqual(rows, [("node1", "disk/0", "/dev/drbd0")])
        self.assertTrue(self.memory.state().instance("web1").disks_active)

    def test_a_secondary_node_that_fails_is_only_reported(self) -> None:
        def attach(node: str, _: object) -> object:
            return Failed("it is broken") if node == "node2" else "/dev/drbd0"

        self.successResultOf(self.perform(a_state(), attach))
        self.assertIn("cannot attach disk/0 on node node2: it is broken", self.said)

    def test_disks_that_cannot_be_attached_are_not_recorded_as_active(self) -> None:
        self.failureResultOf(self.perform(a_state(), Failed("it is broken")), Failed)
        self.assertFalse(self.memory.state().instance("web1").disks_active)

    def test_another_size_is_ignored_only_if_that_is_requested(self) -> None:
        for ignore in (False, True):
            self.successResultOf(self.perform(a_state(), ignore_size=ignore))
            calls = [call for _, call in self.memory.nodes.asked if isinstance(call, AttachDisk)]
            self.assertEqual({call.ignore_size for call in calls}, {ignore})

    def test_the_sync_is_awaited_only_if_that_is_requested(self) -> None:
        for wait in (False, True):
            self.successResultOf(self.perform(a_state(), wait_for_sync=wait))
            self.assertEqual(bool(self.memory.nodes.calls(DescribeDisks)), wait)

    def test_disks_that_do_not_become_current_fail_the_job_and_stay_active(self) -> None:
        working = self.perform(a_state(), wait_for_sync=True)
        stale = [DiskStatus(path="/dev/drbd0", degraded=True)]
        self.memory.nodes.answers[DescribeDisks] = stale
        reason = str(self.failureResultOf(working, Failed).value)
        self.assertIn("have only one current copy; see gnt-instance info web1", reason)
        self.assertTrue(self.memory.state().instance("web1").disks_active)

    def test_disks_that_are_active_already_are_attached_again(self) -> None:
        self.successResultOf(self.perform(a_state(active=True)))
        self.assertEqual(len(self.memory.nodes.calls(AttachDisk)), 2)
        self.assertEqual(self.memory.journal.commits, [])


class DeactivateTests(SynchronousTestCase):
    def test_a_running_guest_keeps_its_disks(self) -> None:
        with self.assertRaisesRegex(Refused, "web1 is running on node node1; stop it first"):
            deactivate(a_state(), answers(a_state(), runs="node1"))
        with self.assertRaisesRegex(Refused, "running on node2, which is not its primary node"):
            deactivate(a_state(), answers(a_state(), runs="node2"))

    def test_a_silent_primary_node_may_run_the_guest(self) -> None:
        with self.assertRaisesRegex(Refused, "node1 is unreachable"):
            deactivate(a_state(), answers(a_state(), silent="node1"))
        deactivate(a_state(), answers(a_state(), silent="node2"))

    def test_by_force_or_with_an_offline_node_nothing_is_asked(self) -> None:
        for state, force in ((a_state(), True), (a_state(offline="node1"), False)):
            op = DeactivateDisks(instance_name="web1", force=force)
            self.assertEqual(questions(op, state), ())
            deactivate(state, NodeAnswers(), force=force)

    def test_the_primary_node_and_the_others_are_asked_for_the_guest_once(self) -> None:
        described, listed = questions(DeactivateDisks(instance_name="web1"), a_state())
        self.assertEqual([node.name for node in described.nodes], ["node1"])
        self.assertEqual([node.name for node in listed.nodes], ["node2"])

    def test_they_are_detached_on_the_primary_node_first(self) -> None:
        state = a_state(active=True)
        memory = MemoryTools(state)
        self.successResultOf(run_deactivate(deactivate(state), memory.tools))
        expected = [("node1", "DetachDisk"), ("node2", "DetachDisk")]
        self.assertEqual(memory.nodes.calls(), expected)
        self.assertFalse(memory.state().instance("web1").disks_active)

    def test_disks_that_stay_attached_stay_recorded_as_active(self) -> None:
        state = a_state(active=True)
        memory = MemoryTools(state, {DetachDisk: Failed("it is held open")})
        self.failureResultOf(run_deactivate(deactivate(state), memory.tools), Failed)
        self.assertTrue(memory.state().instance("web1").disks_active)

    def test_the_instance_is_locked_exclusively(self) -> None:
        for found in (activate(a_state()), deactivate(a_state())):
            self.assertEqual(found.locks, found.subject.locks)
