# SPDX-License-Identifier: BSD-2-Clause
"""The console of an instance can be opened while its guest runs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused, Unreachable
from ganeti.locking.names import instance_lock, request
from ganeti.opcodes.instance.lifecycle import OpenConsole
from ganeti.operations.instance.lifecycle.console import ConsoleRequest, plan, questions, run
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.instances import ConsoleInfo, DescribeConsole
from ganeti.rpc.node import DescribeNode
from ganeti.testing.builders import a_cluster, a_node, an_instance
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools

OP = OpenConsole(instance_name="web1")


def a_state(*, offline: bool = False) -> ClusterState:
    node1 = a_node("node1", offline=offline)
    return a_cluster(nodes=[node1, "node2"], instances=[an_instance("web1", tags=("x",))])


def make_plan(state: ClusterState, answer: object) -> ConsoleRequest:
    return plan(OP, state, NodeAnswers({(state.node("node1").uuid, DescribeNode): answer}))


class ConsoleTests(SynchronousTestCase):
    def assert_refused(self, reason: str, code: Code, state: ClusterState, answer: object) -> None:
        with self.assertRaisesRegex(Refused, reason) as raised:
            make_plan(state, answer)
        self.assertEqual(raised.exception.code, code)

    def test_only_its_node_is_asked_for_guests_of_its_hypervisor(self) -> None:
        [query] = questions(OP, a_state())
        self.assertEqual([node.name for node in query.nodes], ["node1"])
        self.assertEqual(query.call, DescribeNode(hypervisors=("fake",)))

    def test_a_stopped_instance_has_no_console(self) -> None:
        reason = "web1 is not running; start it first: gnt-instance startup web1"
        self.assert_refused(reason, Code.STATE, a_state(), some_facts(runs=["web2"]))

    def test_an_offline_node_is_neither_asked_nor_connected_to(self) -> None:
        state = a_state(offline=True)
        self.assertEqual(questions(OP, state), ())
        reason = "node1 is offline, so the console of instance web1 cannot be reached"
        self.assert_refused(reason, Code.STATE, state, None)

    def test_a_node_that_does_not_answer_is_refused(self) -> None:
        silent = Unreachable("node1", "gone")
        self.assert_refused("gnt-node modify --offline=yes", Code.INTERNAL, a_state(), silent)

    def test_several_users_may_open_it_at_once(self) -> None:
        state = a_state()
        found = make_plan(state, some_facts(runs=["web1"]))
        uuid = state.instance("web1").uuid
        self.assertEqual(found.locks, request(shared=[instance_lock(uuid)]))

    def test_the_node_says_how_to_connect(self) -> None:
        info = ConsoleInfo(instance="web1", kind="vnc", host="192.0.2.1", port=11000)
        memory = MemoryTools(a_state(), {DescribeConsole: info})
        found = make_plan(memory.state(), some_facts(runs=["web1"]))
        self.assertEqual(self.successResultOf(run(found, memory.tools)), info)
        [(node, call)] = memory.nodes.asked
        self.assertEqual((node, call), ("node1", DescribeConsole(guest=found.guest)))
        self.assertEqual(found.guest.name, "web1")

    def test_a_guest_that_stops_meanwhile_fails_the_job(self) -> None:
        memory = MemoryTools(a_state(), {DescribeConsole: Failed("web1 is not running")})
        found = make_plan(memory.state(), some_facts(runs=["web1"]))
        self.failureResultOf(run(found, memory.tools), Failed)
