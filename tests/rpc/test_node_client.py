# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, NotMaster, Refused, Unreachable
from ganeti.rpc.call import URGENT
from ganeti.rpc.node import AskVersion, Version
from ganeti.rpc.node_client import CALLS_PER_TURN
from ganeti.rpc.quorum import Ballot, RequestVote, VoterState
from ganeti.rpc.server import CallHandlers
from ganeti.testing.builders import a_node
from ganeti.testing.nodes import MemoryNodes

VERSION = Version(protocol=1, release="3.0")
NODE1, NODE2 = a_node("node1"), a_node("node2")


class NodeSide:
    """A node that counts how often it was asked for its version, with a term."""

    def __init__(self, term: int = 0) -> None:
        self.accepted = VoterState(term=term, master="node9")
        self.done = 0
        self.answers = CallHandlers(lambda: self.accepted.term)
        self.answers.to(AskVersion, self.version)
        self.answers.to(RequestVote, self.grant)

    async def version(self, _: AskVersion) -> Version:
        self.done += 1
        return VERSION

    async def grant(self, call: RequestVote) -> Ballot:
        granted = call.term > self.accepted.term
        if granted:
            self.accepted = VoterState(term=call.term, master=call.master)
        return Ballot(granted=granted, state=self.accepted)


class AskTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.one, self.two = NodeSide(), NodeSide()
        self.nodes = MemoryNodes(
            {"node1": self.one.answers, "node2": self.two.answers}, clock=self.clock
        )
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def unreachable(self) -> str:
        return str(self.failureResultOf(self.nodes.ask(NODE1, AskVersion()), Unreachable).value)

    def test_a_node_is_asked_and_answers(self) -> None:
        self.assertEqual(self.successResultOf(self.nodes.ask(NODE1, AskVersion())), VERSION)

    def test_a_node_that_is_marked_offline_is_not_asked(self) -> None:
        asking = self.nodes.ask(a_node("node1", offline=True), AskVersion())
        self.failureResultOf(asking, Unreachable)
        self.assertEqual(self.nodes.asked, [])

    def test_a_node_that_refuses_connections_is_unreachable(self) -> None:
        self.nodes.vanish("node1")
        self.assertEqual(self.unreachable(), "node node1 is unreachable: connection refused")

    def test_a_node_that_answers_nonsense_is_unreachable(self) -> None:
        self.nodes.garbage("node1")
        self.assertIn("the answer to version is malformed", self.unreachable())

    def test_a_call_that_the_node_does_not_know_makes_it_unreachable(self) -> None:
        self.nodes.add_node("node1", CallHandlers(lambda: 0))
        self.assertIn("404", self.unreachable())

    def test_patience_ends(self) -> None:
        self.nodes.hang("node1")
        asking = Deferred.fromCoroutine(self.nodes.ask(NODE1, AskVersion()))
        self.clock.advance(URGENT - 1)
        self.assertNoResult(asking)
        self.clock.advance(1)
        why = str(self.failureResultOf(asking, Unreachable).value)
        self.assertIn("no answer to version within 60 seconds", why)

    def test_a_slow_node_answers_in_the_end(self) -> None:
        self.nodes.slow("node1", 10)
        asking = Deferred.fromCoroutine(self.nodes.ask(NODE1, AskVersion()))
        self.clock.advance(10)
        self.assertEqual(self.successResultOf(asking), VERSION)

    def test_a_lost_request_was_not_done_and_a_lost_answer_was(self) -> None:
        self.nodes.lose_request("node1")
        self.unreachable()
        self.nodes.lose_answer("node1", 2, call="version")
        self.successResultOf(self.nodes.ask(NODE1, AskVersion()))
        self.unreachable()
        self.assertEqual(self.one.done, 2)

    def test_who_waits_for_a_daemon_that_is_killed_is_told(self) -> None:
        async def hang(_: AskVersion) -> Version:
            return await Deferred()

        self.one.answers.to(AskVersion, hang)
        asking = Deferred.fromCoroutine(self.nodes.ask(NODE1, AskVersion()))
        self.assertNoResult(asking)
        self.nodes.kill("node1")
        self.assertIn("was lost", str(self.failureResultOf(asking, Unreachable).value))

    def test_a_refusal_of_the_node_names_it(self) -> None:
        async def refuse(_: AskVersion) -> Version:
            raise Refused("the disk is full")

        self.one.answers.to(AskVersion, refuse)
        refused = self.failureResultOf(self.nodes.ask(NODE1, AskVersion()), Refused).value
        self.assertEqual(str(refused), "node1: the disk is full")

    def test_of_many_nodes_some_are_asked_in_each_turn(self) -> None:
        many = [a_node(f"node{number}") for number in range(2 * CALLS_PER_TURN)]
        for node in many:
            self.nodes.add_node(node.name, self.one.answers)
        asking = Deferred.fromCoroutine(self.nodes.ask_all(many, AskVersion()))
        self.assertEqual(self.one.done, CALLS_PER_TURN)
        self.clock.advance(0)
        self.assertEqual(len(self.successResultOf(asking)), 2 * CALLS_PER_TURN)

    def test_all_nodes_answer_each_in_its_own_way(self) -> None:
        self.nodes.vanish("node2")
        answers = self.successResultOf(self.nodes.ask_all([NODE1, NODE2], AskVersion()))
        self.assertEqual(answers[NODE1.uuid], VERSION)
        self.assertIsInstance(answers[NODE2.uuid], Failed)

    def test_a_cancelled_question_leaves_nothing_behind(self) -> None:
        self.nodes.hang("node1")
        asking = Deferred.fromCoroutine(self.nodes.ask_all([NODE1, NODE2], AskVersion()))
        asking.cancel()
        self.failureResultOf(asking)


class TermTests(SynchronousTestCase):
    def nodes(self, side: NodeSide) -> MemoryNodes:
        return MemoryNodes({"node1": side.answers}, term=lambda: 4, master="node2")

    def test_a_node_that_was_away_accepts_the_master_first(self) -> None:
        side = NodeSide(term=3)
        nodes = self.nodes(side)
        self.assertEqual(self.successResultOf(nodes.ask(NODE1, AskVersion())), VERSION)
        self.assertEqual([call for _, call in nodes.asked], ["version", "vote_request", "version"])
        self.assertEqual(side.accepted, VoterState(term=4, master="node2"))

    def test_a_replaced_master_learns_that_it_is_none(self) -> None:
        nodes = self.nodes(NodeSide(term=5))
        self.failureResultOf(nodes.ask(NODE1, AskVersion()), NotMaster)
        self.failureResultOf(nodes.ask_all([NODE1], AskVersion()), NotMaster)
