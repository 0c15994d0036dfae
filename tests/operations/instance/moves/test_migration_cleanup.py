# SPDX-License-Identifier: BSD-2-Clause
"""After an interrupted move, exactly one node resumes the guest, and it is the primary node."""

from __future__ import annotations

from collections.abc import Collection

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.instances import set_primary_node
from ganeti.config.state import ClusterState
from ganeti.errors import Failed, GanetiError, Refused, Unreachable
from ganeti.locking.names import instance_lock, node_lock, request
from ganeti.model.disk import Template
from ganeti.model.guest import GuestState
from ganeti.operations.instance.context import standing
from ganeti.operations.instance.moves.migration_cleanup import (
    MigrationCleanup,
    cleanup_queries,
    plan_cleanup,
    run_cleanup,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.disks import ConnectDisk, DemoteDisk
from ganeti.rpc.instances import (
    FinalizeMigrationDst,
    FinalizeMigrationSrc,
    ListGuests,
    Migration,
    MigrationStatus,
)
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from ganeti.testing.tools import MemoryTools

RUNS = {"web1": GuestState(name="web1", memory=128, vcpus=1)}
RESUME_SENT, DROP, RESUME_RECEIVED = "resume what was sent", "drop", "resume what was received"


def a_state(*, primary: str = "node1", mirrored: bool = False, offline: str = "") -> ClusterState:
    """Return a cluster of two nodes with web1, whose disks both nodes have."""
    kind = Template.DRBD if mirrored else Template.SHAREDFILE
    disk = a_disk("disk1", kind, nodes=("node1", "node2") if mirrored else ("node1",))
    nodes = [a_node(name, offline=name == offline) for name in ("node1", "node2")]
    web1 = an_instance("web1", node=primary, disks=[disk])
    return a_cluster(nodes=nodes, instances=[web1])


def plan(state: ClusterState, *, runs: Collection[str] = (), silent: str = "") -> MigrationCleanup:
    """Plan the cleanup for a guest that runs on these nodes."""
    answers: dict[tuple[str, type[Call[object]]], object] = {
        (node.uuid, ListGuests): Unreachable(node.name, "gone")
        if node.name == silent
        else (RUNS if node.name in runs else {})
        for node in state.nodes.values()
        if not node.offline
    }
    return plan_cleanup(standing(state.instance("web1"), state), state, NodeAnswers(answers))


class PlanTests(SynchronousTestCase):
    def test_every_node_that_can_have_the_guest_is_asked(self) -> None:
        state = a_state()
        [query] = cleanup_queries(standing(state.instance("web1"), state), state)
        self.assertEqual([node.name for node in query.nodes], ["node1", "node2"])

    def test_a_guest_that_runs_twice_is_left_to_the_administrator(self) -> None:
        with self.assertRaisesRegex(Refused, "running on node1 and on node2"):
            plan(a_state(), runs=("node1", "node2"))

    def test_a_silent_node_may_have_the_guest(self) -> None:
        with self.assertRaisesRegex(Refused, "unknown whether .* on node2"):
            plan(a_state(), runs=("node1",), silent="node2")

    def test_an_offline_node_may_have_run_what_runs_nowhere_else(self) -> None:
        state = a_state(mirrored=True, offline="node2")
        with self.assertRaisesRegex(
            Refused, "node2 is offline, so it is unknown whether instance web1 ran there"
        ):
            plan(state)

    def test_an_offline_node_is_ignored_if_the_guest_runs_on_another(self) -> None:
        found = plan(a_state(mirrored=True, offline="node2"), runs=["node1"])
        self.assertEqual([node.name for node in found.nodes], ["node1"])

    def test_the_nodes_are_locked_shared_and_the_instance_exclusively(self) -> None:
        state = a_state()
        wanted = request(
            exclusive=[instance_lock(state.instance("web1").uuid)],
            shared=[node_lock(uuid) for uuid in state.nodes],
        )
        self.assertEqual(plan(state).locks, wanted)


class Scripted(SynchronousTestCase):
    """Nodes whose guests, sent guests and received guests a test names."""

    def prepare(
        self,
        state: ClusterState,
        *,
        runs: Collection[str] = (),
        sends: Collection[str] = (),
        received: Collection[str] = (),
    ) -> None:
        def status(node: str, _: object) -> object:
            return Migration(status="completed") if node in sends else Refused("no such guest")

        def finish(node: str, call: FinalizeMigrationDst) -> object:
            lost = call.arrived and node not in received
            return Refused("no guest has arrived") if lost else None

        self.memory = MemoryTools(state)
        self.memory.nodes.answers = {
            ListGuests: lambda node, _: RUNS if node in runs else {},
            MigrationStatus: status,
            FinalizeMigrationDst: finish,
        }

    def run_plan(self, cleanup: MigrationCleanup) -> None:
        self.successResultOf(run_cleanup(cleanup, self.memory.tools))

    def failure(self, cleanup: MigrationCleanup) -> str:
        failure = self.failureResultOf(run_cleanup(cleanup, self.memory.tools), GanetiError)
        return str(failure.value)

    def steps(self) -> list[tuple[str, str]]:
        """The nodes that changed something about the guest, and what."""
        found = []
        for node, call in self.memory.nodes.asked:
            if isinstance(call, FinalizeMigrationSrc):
                self.assertFalse(call.left)
                found.append((node, RESUME_SENT))
            elif isinstance(call, FinalizeMigrationDst):
                found.append((node, RESUME_RECEIVED if call.arrived else DROP))
        return found

    @property
    def primary(self) -> str:
        state = self.memory.state()
        return state.nodes[state.instance("web1").primary_node].name

    @property
    def said(self) -> list[str]:
        return self.memory.progress.said


class RunTests(Scripted):
    def test_a_guest_that_runs_goes_on_and_leftovers_elsewhere_are_removed(self) -> None:
        self.prepare(a_state(), runs=["node1"])
        self.run_plan(plan(a_state(), runs=["node1"]))
        self.assertEqual(self.steps(), [("node1", RESUME_SENT), ("node2", DROP)])
        self.assertEqual(self.said, ["instance web1 is running on its primary node node1"])

    def test_the_node_that_runs_the_guest_becomes_the_primary_node(self) -> None:
        self.prepare(a_state(), runs=["node2"])
        self.run_plan(plan(a_state(), runs=["node2"]))
        self.assertEqual(self.primary, "node2")
        self.assertEqual(self.steps(), [("node2", RESUME_SENT), ("node1", DROP)])

    def test_a_second_guest_that_appears_after_the_plan_changes_nothing(self) -> None:
        self.prepare(a_state(), runs=["node1", "node2"])
        self.assertIn("running on node1 and on node2", self.failure(plan(a_state())))
        self.assertEqual((self.steps(), self.primary), ([], "node1"))

    def test_the_sender_resumes_the_guest_after_the_receiver_has_dropped_it(self) -> None:
        self.prepare(a_state(), sends=["node1"])
        self.run_plan(plan(a_state()))
        self.assertEqual(self.steps()[:2], [("node2", DROP), ("node1", RESUME_SENT)])
        self.assertNotIn(("node1", DROP), self.steps())
        self.assertEqual(self.primary, "node1")

    def test_a_receiver_that_is_the_primary_node_already_resumes_the_guest(self) -> None:
        state = a_state(primary="node2")
        self.prepare(state, sends=["node1"], received=["node2"])
        self.run_plan(plan(state))
        self.assertEqual(self.steps(), [("node2", RESUME_RECEIVED), ("node1", DROP)])
        self.assertEqual(self.primary, "node2")

    def test_a_receiver_that_is_not_the_primary_node_never_resumes_the_guest(self) -> None:
        self.prepare(a_state(), sends=["node1"], received=["node2"])
        self.run_plan(plan(a_state()))
        self.assertNotIn(RESUME_RECEIVED, [step for _, step in self.steps()])

    def test_a_guest_that_did_not_arrive_goes_back_to_the_sender(self) -> None:
        state = a_state(primary="node2")
        self.prepare(state, sends=["node1"])
        self.run_plan(plan(state))
        expected = [("node2", RESUME_RECEIVED), ("node2", DROP), ("node1", RESUME_SENT)]
        self.assertEqual(self.steps()[:3], expected)
        self.assertEqual(self.primary, "node1")
        self.assertEqual(self.said, ["instance web1 is running on its primary node node1"])

    def test_the_record_goes_back_to_the_sender_before_it_resumes_the_guest(self) -> None:
        state = a_state(primary="node2")
        self.prepare(state, sends=["node1"])
        self.memory.nodes.answers[FinalizeMigrationSrc] = Failed("it broke")
        self.failure(plan(state))
        self.assertEqual(self.primary, "node1")

    def test_a_received_guest_is_resumed_when_its_sender_is_gone(self) -> None:
        self.prepare(a_state(), received=["node1"])
        self.run_plan(plan(a_state()))
        self.assertEqual(self.steps(), [("node1", RESUME_RECEIVED), ("node2", DROP)])
        self.assertEqual(self.said, ["instance web1 is running on its primary node node1"])

    def test_an_instance_that_is_nowhere_keeps_its_primary_node(self) -> None:
        self.prepare(a_state())
        self.run_plan(plan(a_state()))
        self.assertEqual(self.primary, "node1")
        [message] = self.said
        self.assertIn("not running on any node; no migration leftovers found", message)

    def test_a_node_that_falls_silent_leaves_the_guest_paused(self) -> None:
        for call in (MigrationStatus, FinalizeMigrationDst):
            state = a_state(primary="node2")
            self.prepare(state, sends=["node1"])
            self.memory.nodes.answers[call] = Unreachable("node2", "gone")
            self.assertIn("node2 is unreachable", self.failure(plan(state)))
            self.assertEqual(self.memory.nodes.calls(FinalizeMigrationSrc), [])
            self.assertEqual(self.primary, "node2")

    def test_a_job_that_moved_the_record_meanwhile_is_not_overwritten(self) -> None:
        cleanup = plan(a_state(), runs=["node2"])
        self.prepare(a_state(), runs=["node2"])
        state = self.memory.state()
        node2 = state.node("node2")
        self.successResultOf(self.memory.change(set_primary_node(state.instance("web1"), node2)))
        serial = self.memory.state().instance("web1").serial_no
        self.run_plan(cleanup)
        self.assertEqual(self.memory.state().instance("web1").serial_no, serial)


class MirroredTests(Scripted):
    """Disks of which two nodes may write while a guest moves."""

    def test_only_the_node_that_runs_the_guest_keeps_writing(self) -> None:
        state = a_state(mirrored=True)
        self.prepare(state, runs=["node2"])
        self.run_plan(plan(state, runs=["node2"]))
        found = self.memory.nodes.calls(DemoteDisk, ConnectDisk)
        expected = [("node1", "DemoteDisk"), ("node2", "ConnectDisk"), ("node1", "ConnectDisk")]
        self.assertEqual(found, expected)

    def test_inactive_disks_and_shared_ones_are_left_alone(self) -> None:
        inactive = a_state(mirrored=True)
        web1 = replace(inactive.instance("web1"), disks_active=False)
        for state in (inactive.put(web1), a_state()):
            self.prepare(state, runs=["node1"])
            self.run_plan(plan(state, runs=["node1"]))
            self.assertEqual(self.memory.nodes.calls(DemoteDisk, ConnectDisk), [])

    def test_disks_that_cannot_be_demoted_are_reported(self) -> None:
        state = a_state(mirrored=True)
        self.prepare(state, runs=["node1"])
        self.memory.nodes.answers[DemoteDisk] = Failed("it is in use")
        self.run_plan(plan(state, runs=["node1"]))
        self.assertIn("cannot clean up: disk/0 on node2: it is in use", self.said)
