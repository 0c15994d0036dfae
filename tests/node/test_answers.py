# SPDX-License-Identifier: BSD-2-Clause
"""A node answers every call, as a whole and for those that may ask."""

from __future__ import annotations

from typing import Any, TypeVar

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.node.answers import register_handlers
from ganeti.rpc.call import Call
from ganeti.rpc.instances import (
    InstallOS,
    ListGuests,
    RebootInstanceCall,
    RebootMethod,
    StartInstanceCall,
    StopInstance,
)
from ganeti.rpc.node import LeaveCluster
from ganeti.rpc.quorum import RequestVote
from ganeti.rpc.replicas import (
    AppendFrames,
    DescribeReplica,
    ReadFrames,
    ReplicaEnd,
    ResetReplica,
    StoreCheckpoint,
)
from ganeti.testing.builders import a_guest, a_node
from ganeti.testing.host import MemoryHost
from ganeti.testing.nodes import MemoryNodes
from tests.rpc.test_calls import declared

R = TypeVar("R")
BEGINNING = ReplicaEnd(position=0, digest="0" * 64)
NODE = a_node("node1")
WEB1 = a_guest("web1", os="noop", hypervisor="fake")


class AnswersTests(SynchronousTestCase):
    def test_every_call_is_answered(self) -> None:
        handlers = register_handlers(MemoryHost("node1").parts)
        self.assertEqual(set(handlers.calls()), set(declared()))

    def test_a_node_that_is_no_candidate_handles_no_call_for_candidates(self) -> None:
        host = MemoryHost("node2")
        host.parts.members.clear()
        nodes = MemoryNodes({"node2": register_handlers(host.parts)})
        calls: list[Call[Any]] = [
            DescribeReplica(),
            ReadFrames(after=BEGINNING),
            AppendFrames(after=BEGINNING, frames=""),
            ResetReplica(files={}, end=BEGINNING),
            StoreCheckpoint(files={}, end=BEGINNING),
        ]
        for call in calls:
            refused = self.failureResultOf(nodes.ask(a_node("node2"), call), Refused).value
            self.assertIn(f"does not handle {call.wire}; to make it one", str(refused))


class NodeTests(SynchronousTestCase):
    """A whole node in memory, asked as a master asks it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.host = MemoryHost("node1", self.clock)
        self.nodes = MemoryNodes({"node1": self.host.answers}, clock=self.clock)

    def ask(self, call: Call[R]) -> R:
        answer: R = self.successResultOf(self.nodes.ask(NODE, call))
        return answer

    def restart(self) -> None:
        self.host.restart()
        self.nodes.add_node("node1", self.host.answers)

    def test_a_guest_is_installed_started_and_stopped(self) -> None:
        self.ask(InstallOS(guest=WEB1))
        self.ask(StartInstanceCall(guest=WEB1))
        self.assertEqual(set(self.ask(ListGuests(hypervisors=("fake",)))), {"web1"})
        self.ask(StopInstance(instance_name="web1", hypervisor="fake", timeout=0))
        self.assertEqual(self.ask(ListGuests(hypervisors=("fake",))), {})

    def test_guests_outlive_the_daemon_but_not_the_power(self) -> None:
        self.ask(StartInstanceCall(guest=WEB1))
        self.restart()
        self.assertEqual(set(self.ask(ListGuests(hypervisors=("fake",)))), {"web1"})
        self.host.power_cut()
        self.nodes.add_node("node1", self.host.answers)
        self.assertEqual(self.ask(ListGuests(hypervisors=("fake",))), {})

    def test_the_term_outlives_the_power(self) -> None:
        self.assertTrue(self.ask(RequestVote(term=3, master="node1")).granted)
        self.host.power_cut()
        self.assertEqual(self.host.parts.voter.term(), 3)

    def test_a_failure_on_the_node_names_it(self) -> None:
        reboot = RebootInstanceCall(guest=WEB1, kind=RebootMethod.SOFT, timeout=1)
        told = self.failureResultOf(self.nodes.ask(NODE, reboot), Failed).value
        self.assertEqual(str(told), "node1: instance web1 is not running on this node")

    def test_a_node_that_leaves_forgets_its_term_and_certificates_and_ends(self) -> None:
        self.ask(RequestVote(term=3, master="node1"))
        self.host.disk.put(f"{self.host.paths.data}/ssconf_node_list", b"", 0o400, 0.0)
        self.host.disk.add_folder(self.host.paths.queue, 0o750)
        self.host.disk.put(f"{self.host.paths.queue}/job-1", b"", 0o600, 0.0)
        self.successResultOf(self.host.parts.membership.leave_cluster(LeaveCluster()))
        self.clock.advance(1)
        self.assertTrue(self.host.left)
        left = [path for path in self.host.disk.contents() if path.startswith(self.host.paths.data)]
        self.assertEqual(left, [])
