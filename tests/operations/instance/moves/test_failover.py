# SPDX-License-Identifier: BSD-2-Clause
"""A failover stops an instance before another node starts it, and says where it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, JobCanceled, Refused, Unreachable
from ganeti.locking.names import instance_lock, node_lock, request
from ganeti.model.disk import Template
from ganeti.model.guest import GuestState
from ganeti.model.instance import AdminState
from ganeti.opcodes.instance.moves import FailoverInstance
from ganeti.operations.instance.context import standing
from ganeti.operations.instance.moves.failover import (
    Failover,
    hooks,
    plan,
    questions,
    request_allocation,
    roles,
    run,
)
from ganeti.operations.instance.moves.migration_cleanup import MigrationCleanup
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.disks import AttachDisk, DescribeDisks, DetachDisk, DiskStatus
from ganeti.rpc.instances import (
    FinalizeMigrationDst,
    ListGuests,
    StartInstanceCall,
    StopInstance,
)
from ganeti.rpc.node import DescribeNode, ValidateHypervisor
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools

RUNS = {"web1": GuestState(name="web1", memory=128, vcpus=1)}


def a_state(*, mirrored: bool = False, offline: str = "", **over: Any) -> ClusterState:
    """Return web1 on node1 with shared disks, or with a copy on node2."""
    kind = Template.DRBD if mirrored else Template.SHAREDFILE
    disk = a_disk("disk1", kind, nodes=("node1", "node2") if mirrored else ("node1",))
    nodes = [a_node(name, offline=name == offline) for name in ("node1", "node2", "node3")]
    return a_cluster(nodes=nodes, instances=[an_instance("web1", disks=[disk], **over)])


def answer(state: ClusterState, **over: Any) -> NodeAnswers:
    """Return the answers of online nodes, of which node1 runs web1; ``over`` by name of node."""
    answers: dict[tuple[str, type[Call[object]]], object] = {}
    for node in state.nodes.values():
        runs = ["web1"] if node.name == "node1" else []
        answers[node.uuid, DescribeNode] = over.get(node.name, some_facts(runs=runs))
        answers[node.uuid, DescribeDisks] = [over.get("copy", DiskStatus(path="/dev/drbd0"))]
    return NodeAnswers(answers)


def make_plan(state: ClusterState, facts: NodeAnswers | None = None, **over: Any) -> Failover:
    named = {} if state.get_secondaries(state.instance("web1")) else {"target_node": "node2"}
    op = FailoverInstance(instance_name="web1", **{**named, **over})
    found = plan(op, state, facts or answer(state))
    assert isinstance(found, Failover)
    return found


class PlanTests(SynchronousTestCase):
    def assert_refused(
        self, reason: str, state: ClusterState, facts: NodeAnswers | None = None, **over: Any
    ) -> Refused:
        with self.assertRaisesRegex(Refused, reason) as raised:
            make_plan(state, facts, **over)
        error: Refused = raised.exception
        return error

    def test_the_instance_and_its_nodes_and_the_target_are_locked(self) -> None:
        state = a_state()
        wanted = request(
            exclusive=[instance_lock(state.instance("web1").uuid)],
            shared=[node_lock(state.node(name).uuid) for name in ("node1", "node2")],
        )
        self.assertEqual(make_plan(state).locks, wanted)

    def test_a_target_without_memory_for_an_instance_that_starts_there_is_refused(self) -> None:
        facts = answer(a_state(), node2=some_facts(memory_free=127))
        refused = self.assert_refused("127 MiB of free memory", a_state(), facts)
        self.assertEqual(refused.code, Code.RESOURCES)
        make_plan(a_state(), answer(a_state(), node2=some_facts(memory_free=128)))
        down = a_state(admin_state=AdminState.DOWN)
        make_plan(down, answer(down, node2=some_facts(memory_free=127)))

    def test_a_target_that_does_not_answer_is_refused(self) -> None:
        facts = answer(a_state(), node2=Unreachable("node2", "gone"))
        refused = self.assert_refused("gnt-node modify --offline=yes node2", a_state(), facts)
        self.assertEqual(refused.code, Code.INTERNAL)

    def test_a_guest_on_another_node_is_never_started_twice(self) -> None:
        for state in (a_state(), a_state(admin_state=AdminState.DOWN)):
            facts = answer(state, node1=some_facts(), node3=some_facts(runs=["web1"]))
            self.assert_refused("running on node3, which is not its primary node", state, facts)

    def test_a_silent_node_may_run_an_instance_that_is_wanted_up(self) -> None:
        silent = Unreachable("node3", "gone")
        state = a_state()
        facts = answer(state, node1=some_facts(), node3=silent)
        self.assert_refused("unknown whether .* on node3", state, facts)
        down = a_state(admin_state=AdminState.DOWN)
        make_plan(down, answer(down, node1=some_facts(), node3=silent))

    def test_active_disks_are_not_opened_on_a_second_node_either(self) -> None:
        state = a_state(admin_state=AdminState.DOWN, disks_active=True)
        facts = answer(state, node1=some_facts(), node3=Unreachable("node3", "gone"))
        self.assert_refused("unknown whether .* on node3", state, facts)

    def test_an_instance_that_starts_there_must_run_nowhere_whatever_its_disks(self) -> None:
        state = a_state(disks_active=False)
        facts = answer(state, node1=some_facts(), node3=Unreachable("node3", "gone"))
        self.assert_refused("unknown whether .* on node3", state, facts)

    def test_a_copy_that_is_not_current_is_refused_unless_ignored(self) -> None:
        state = a_state(mirrored=True)
        facts = answer(state, copy=DiskStatus(path="/dev/drbd0", local="faulty"))
        self.assert_refused("disk/0 is faulty; .*use --ignore-consistency", state, facts)
        self.assertTrue(make_plan(state, facts, ignore_consistency=True).careless)

    def test_copies_of_inactive_disks_cannot_be_checked(self) -> None:
        state = a_state(mirrored=True, admin_state=AdminState.DOWN)
        asked = questions(FailoverInstance(instance_name="web1"), state)
        self.assertNotIn(DescribeDisks, [type(query.call) for query in asked])
        make_plan(state, answer(state, copy=None))

    def test_every_possible_host_is_asked_once(self) -> None:
        op = FailoverInstance(instance_name="web1", target_node="node2")
        described, listed = questions(op, a_state())
        self.assertEqual([node.name for node in described.nodes], ["node1", "node2"])
        self.assertEqual([node.name for node in listed.nodes], ["node3"])

    def test_an_allocator_may_choose_among_nodes_with_shared_disks(self) -> None:
        op = FailoverInstance(instance_name="web1", iallocator="mine")
        request = request_allocation(op, a_state(), NodeAnswers())
        assert request is not None
        self.assertEqual(request.request["relocate_from"], ["node1"])
        self.assertIsNone(request_allocation(op, a_state(mirrored=True), NodeAnswers()))

    def test_a_cleanup_needs_neither_target_nor_allocator(self) -> None:
        state = a_state(mirrored=True)
        op = FailoverInstance(instance_name="web1", cleanup=True, iallocator="hail")
        [query] = questions(op, state)
        self.assertIsInstance(query.call, ListGuests)
        self.assertIsNone(request_allocation(op, state, NodeAnswers()))
        found = plan(op, state, answer(state))
        self.assertIsInstance(found, MigrationCleanup)


class RunTests(SynchronousTestCase):
    def prepare(
        self, state: ClusterState, answers: Mapping[type[Call[object]], object] | None = None
    ) -> None:
        self.memory = MemoryTools(state, answers)

    def run_plan(self, **over: Any) -> None:
        found = make_plan(self.memory.state(), **over)
        self.successResultOf(run(found, self.memory.tools))

    def failure(self, kind: type[Exception] = Failed, **over: Any) -> str:
        found = make_plan(self.memory.state(), **over)
        return str(self.failureResultOf(run(found, self.memory.tools), kind).value)

    @property
    def calls(self) -> list[tuple[str, str]]:
        return self.memory.nodes.calls()

    @property
    def primary(self) -> str:
        state = self.memory.state()
        return state.nodes[state.instance("web1").primary_node].name

    @property
    def said(self) -> str:
        return "\n".join(self.memory.progress.said)

    def test_it_is_stopped_recorded_and_started_in_this_order(self) -> None:
        seen = []
        self.prepare(
            a_state(),
            {
                StopInstance: lambda node, _: seen.append((node, self.primary)),
                StartInstanceCall: lambda node, _: seen.append((node, self.primary)),
            },
        )
        self.run_plan()
        self.assertEqual(seen, [("node1", "node1"), ("node2", "node2")])
        expected = [
            ("node2", "ValidateHypervisor"),
            ("node1", "StopInstance"),
            ("node1", "DetachDisk"),
            ("node2", "FinalizeMigrationDst"),
            ("node2", "StartInstanceCall"),
        ]
        self.assertEqual(self.calls, expected)

    def test_a_stopped_instance_is_not_started(self) -> None:
        self.prepare(a_state(admin_state=AdminState.DOWN))
        self.run_plan()
        self.assertEqual(self.memory.nodes.calls(StartInstanceCall, ValidateHypervisor), [])
        self.assertEqual(self.primary, "node2")

    def test_a_target_that_cannot_run_it_does_not_stop_it(self) -> None:
        self.prepare(a_state(), {ValidateHypervisor: Refused("no such machine")})
        self.assertIn("no such machine", self.failure(Refused))
        self.assertEqual(self.memory.nodes.calls(StopInstance), [])

    def test_an_offline_node_is_not_asked_to_stop_it(self) -> None:
        self.prepare(a_state(mirrored=True, offline="node1"))
        self.run_plan()
        self.assertEqual({node for node, _ in self.calls}, {"node2"})
        self.assertIn("node node1 is marked offline; assuming that instance web1 is", self.said)
        self.assertEqual(self.primary, "node2")

    def test_one_that_does_not_stop_stays_where_it_is(self) -> None:
        self.prepare(a_state(), {StopInstance: Failed("it hangs", Code.ENVIRONMENT)})
        message = self.failure()
        self.assertIn("instance web1 may still be running on node node1: it hangs", message)
        self.assertIn("gnt-node modify --offline=yes node1", message)
        self.assertEqual(self.memory.nodes.calls(StartInstanceCall), [])
        self.assertEqual(self.primary, "node1")

    def test_a_failure_after_the_stop_starts_it_again(self) -> None:
        for mirrored in (False, True):
            self.prepare(a_state(mirrored=mirrored), {FinalizeMigrationDst: Failed("it is broken")})
            self.assertEqual(self.failure(), "it is broken")
            expected = [("node1", "AttachDisk"), ("node1", "StartInstanceCall")]
            self.assertEqual(self.calls[-2:], expected)
            self.assertEqual(self.primary, "node1")

    def test_a_stopped_instance_is_not_started_by_a_failure(self) -> None:
        self.prepare(a_state(admin_state=AdminState.DOWN), {FinalizeMigrationDst: Failed("broken")})
        self.failure()
        self.assertEqual(self.memory.nodes.calls(StartInstanceCall), [])

    def test_a_canceled_job_does_not_stop_it(self) -> None:
        def cancel(*_: object) -> None:
            self.memory.progress.canceled = lambda: True

        self.prepare(a_state(), {ValidateHypervisor: cancel})
        self.failure(JobCanceled)
        self.assertEqual(self.memory.nodes.calls(StopInstance), [])

    def test_disks_that_stay_attached_refuse_it_unless_ignored(self) -> None:
        state = a_state(mirrored=True)
        self.prepare(state, {DetachDisk: Failed("it is held open")})
        message = self.failure()
        self.assertIn("cannot detach the disks of instance web1 on node node1: it is", message)
        self.assertIn("use --ignore-consistency", message)
        self.assertEqual(self.primary, "node1")
        self.prepare(state, {DetachDisk: Failed("it is held open")})
        self.run_plan(ignore_consistency=True)
        self.assertIn("cannot detach the disks of web1 on node node1", self.said)
        self.assertEqual(self.primary, "node2")

    def test_mirrored_disks_are_attached_on_the_target_and_then_on_the_old_node(self) -> None:
        self.prepare(a_state(mirrored=True))
        self.run_plan()
        attached = [(n, c.primary) for n, c in self.memory.nodes.asked if isinstance(c, AttachDisk)]
        self.assertEqual(attached, [("node1", False), ("node2", True)])

    def test_an_old_node_that_fails_does_not_stop_the_start_of_mirrored_disks(self) -> None:
        def attach(node: str, _: object) -> object:
            return Failed("it is broken") if node == "node1" else "/dev/drbd0"

        self.prepare(a_state(mirrored=True), {AttachDisk: attach})
        self.run_plan()
        self.assertIn("cannot attach disk/0 on node node1: it is broken", self.said)
        self.assertEqual(self.calls[-1], ("node2", "StartInstanceCall"))

    def test_disks_of_a_stopped_instance_are_attached_only_if_they_were(self) -> None:
        for active in (False, True):
            down: dict[str, Any] = {"admin_state": AdminState.DOWN, "disks_active": active}
            self.prepare(a_state(mirrored=True, **down))
            self.run_plan()
            self.assertEqual(bool(self.memory.nodes.calls(AttachDisk)), active)

    def test_shared_disks_are_attached_by_the_start(self) -> None:
        self.prepare(a_state())
        self.run_plan()
        self.assertEqual(self.memory.nodes.calls(AttachDisk), [])

    def test_leftovers_on_the_target_are_dropped_and_not_resumed(self) -> None:
        self.prepare(a_state())
        self.run_plan()
        calls = [c for _, c in self.memory.nodes.asked if isinstance(c, FinalizeMigrationDst)]
        self.assertEqual([call.arrived for call in calls], [False])

    def test_a_start_that_fails_says_where_the_instance_is(self) -> None:
        self.prepare(a_state(), {StartInstanceCall: Failed("no memory", Code.RESOURCES)})
        message = self.failure()
        self.assertIn("was moved to node2 but cannot be started there: no memory", message)
        self.assertIn("gnt-instance startup web1", message)
        self.assertEqual(self.primary, "node2")

    def test_a_cleanup_resumes_what_runs(self) -> None:
        state = a_state()
        self.prepare(state, {ListGuests: lambda node, _: RUNS if node == "node2" else {}})
        op = FailoverInstance(instance_name="web1", cleanup=True)
        facts = answer(state, node1=some_facts(), node2=some_facts(runs=["web1"]))
        self.successResultOf(run(plan(op, state, facts), self.memory.tools))
        self.assertEqual(self.primary, "node2")


class HookTests(SynchronousTestCase):
    def test_hooks_run_on_the_master_and_the_target_and_afterwards_on_the_old_node(self) -> None:
        state = a_state()
        call = hooks(make_plan(state), state)
        node1, node2 = (state.node(name).uuid for name in ("node1", "node2"))
        self.assertEqual((call.before, call.after), ([node1, node2], [node1, node2, node1]))
        environment = {name: call.environment[name] for name in ("SHUTDOWN_TIMEOUT", "NEW_PRIMARY")}
        self.assertEqual(environment, {"SHUTDOWN_TIMEOUT": "120", "NEW_PRIMARY": "node2"})
        self.assertEqual(call.environment["FAILOVER_CLEANUP"], "False")

    def test_primary_and_secondary_change_their_roles(self) -> None:
        state = a_state(mirrored=True)
        subject = standing(state.instance("web1"), state)
        expected = {
            "OLD_PRIMARY": "node1",
            "OLD_SECONDARY": "node2",
            "NEW_PRIMARY": "node2",
            "NEW_SECONDARY": "node1",
        }
        self.assertEqual(roles(subject, state.node("node2")), expected)
        shared = standing(a_state().instance("web1"), a_state())
        self.assertEqual(roles(shared, state.node("node2"))["NEW_SECONDARY"], "")
        stays = {**expected, "NEW_PRIMARY": "node1", "NEW_SECONDARY": "node2"}
        self.assertEqual(roles(subject, state.node("node1")), stays)

    def test_a_cleanup_says_so(self) -> None:
        state = a_state(mirrored=True)
        op = FailoverInstance(instance_name="web1", cleanup=True)
        call = hooks(plan(op, state, answer(state)), state)
        self.assertEqual(call.environment["FAILOVER_CLEANUP"], "True")
        self.assertEqual(call.environment["NEW_SECONDARY"], "node2")
