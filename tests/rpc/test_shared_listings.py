# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, NotMaster, Unreachable
from ganeti.model.guest import GuestState
from ganeti.model.node import Node
from ganeti.rpc.call import Call
from ganeti.rpc.instances import ListGuests
from ganeti.rpc.node import AskVersion
from ganeti.rpc.shared_listings import SharedListings
from ganeti.testing.builders import a_node

R = TypeVar("R")

NODES = [a_node(f"node{number}") for number in range(1, 5)]
WEB1, WEB2 = (GuestState(name=name, memory=16, vcpus=1, cpu_time=0.0) for name in ("web1", "web2"))


class WaitingNodes:
    """Nodes that answer when the test says so.

    ``asked`` are the calls that were sent, in order, with the nodes' names, ``cancelled`` the names
    of nodes whose calls were cancelled. Nodes that are ``replaced`` know a newer master.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, Call[Any]]] = []
        self.waiting: dict[str, list[Deferred[Any]]] = {}
        self.cancelled: list[str] = []
        self.replaced: set[str] = set()

    async def ask(self, node: Node, call: Call[R]) -> R:
        self.asked.append((node.name, call))
        if node.name in self.replaced:
            raise NotMaster(f"{node.name} has accepted a newer master")
        answer: Deferred[R] = Deferred(lambda _: self.cancelled.append(node.name))
        waiting = self.waiting.setdefault(node.name, [])
        waiting.append(answer)
        try:
            return await answer
        finally:
            waiting.remove(answer)

    async def ask_all(self, nodes: Sequence[Node], call: Call[R]) -> Mapping[str, R | Failed]:
        self.asked += [(node.name, call) for node in nodes]
        return {}

    def answer(self, name: str, *guests: GuestState) -> None:
        """Answer the oldest call to a node."""
        self.waiting[name][0].callback({guest.name: guest for guest in guests})

    def fail(self, name: str, error: Exception) -> None:
        self.waiting[name][0].errback(error)

    @property
    def names(self) -> list[tuple[str, tuple[str, ...] | None]]:
        """The nodes that were asked, each with the guests that it was asked about."""
        return [(node, call.only) for node, call in self.asked if isinstance(call, ListGuests)]


def listing(*names: str, hypervisor: str = "fake") -> ListGuests:
    return ListGuests(hypervisors=(hypervisor,), only=names)


class SharedListingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.nodes = Clock(), WaitingNodes()
        self.listings = SharedListings(self.nodes, self.clock, calls_per_turn=1)
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def ask(self, call: Call[Any], nodes: Sequence[Node] = NODES[:2]) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.listings.ask_all(nodes, call))

    def turns(self, count: int = 3) -> None:
        self.clock.pump([0] * count)

    def result(self, asking: Deferred[Any]) -> dict[str, Any]:
        """Return the answers by the name of the node."""
        self.turns()
        names = {node.uuid: node.name for node in NODES}
        return {names[uuid]: answer for uuid, answer in self.successResultOf(asking).items()}

    def test_one_question_is_sent_a_few_nodes_in_each_turn_the_first_at_once(self) -> None:
        asking = self.ask(listing("web1"))
        self.assertEqual(self.nodes.names, [("node1", ("web1",))])
        self.turns()
        self.assertEqual(self.nodes.names, [("node1", ("web1",)), ("node2", ("web1",))])
        self.nodes.answer("node1", WEB1)
        self.assertNoResult(asking)
        self.nodes.answer("node2")
        self.assertEqual(self.result(asking), {"node1": {"web1": WEB1}, "node2": {}})

    def test_a_call_that_is_not_sent_yet_takes_on_another_question(self) -> None:
        first, second = self.ask(listing("web1")), self.ask(listing("web2"))
        self.turns()
        # The call to the first node was sent before the second question.
        asked = [("node1", ("web1",)), ("node2", ("web1", "web2")), ("node1", ("web2",))]
        self.assertEqual(self.nodes.names, asked)
        self.nodes.answer("node1")
        self.nodes.answer("node2", WEB1, WEB2)
        self.assertEqual(self.result(first), {"node1": {}, "node2": {"web1": WEB1}})
        self.nodes.answer("node1")
        self.assertEqual(self.result(second), {"node1": {}, "node2": {"web2": WEB2}})

    def test_an_answer_to_a_call_that_was_sent_before_the_question_is_not_used(self) -> None:
        self.ask(listing("web1"))
        self.turns()
        second = self.ask(listing("web1"))
        self.turns()
        for name in ("node1", "node2"):
            self.nodes.answer(name)
        self.turns()
        self.assertNoResult(second)
        for name in ("node1", "node2"):
            self.nodes.answer(name, WEB1)
        self.assertEqual(self.result(second), {"node1": {"web1": WEB1}, "node2": {"web1": WEB1}})

    def test_a_guest_that_several_ask_for_is_named_once(self) -> None:
        self.ask(listing("web1"), NODES[:3])
        self.ask(listing("web1", "web2"), NODES[:3])
        self.turns()
        self.assertIn(("node3", ("web1", "web2")), self.nodes.names)

    def test_a_node_that_does_not_answer_delays_only_those_who_asked_it(self) -> None:
        slow, fast = self.ask(listing("web1"), NODES[:3]), self.ask(listing("web2"), NODES[1:3])
        self.turns(5)
        for name in ("node2", "node3"):
            while self.nodes.waiting[name]:
                self.nodes.answer(name)
        self.assertEqual(self.result(fast), {"node2": {}, "node3": {}})
        self.assertNoResult(slow)
        # Nor does it keep those who ask it from asking it at once.
        self.ask(listing("web2"), NODES[:2])
        self.assertEqual(self.nodes.names[-1], ("node1", ("web2",)))
        self.turns()

    def test_an_error_of_a_node_is_its_answer_to_each_question(self) -> None:
        asking = [self.ask(listing(name), NODES[:2]) for name in ("web1", "web2")]
        self.turns()
        error = Unreachable("node2", "connection refused")
        self.nodes.fail("node2", error)
        for _ in asking:
            self.nodes.answer("node1")
        for one in asking:
            self.assertEqual(self.result(one), {"node1": {}, "node2": error})

    def test_questions_about_different_hypervisors_share_no_call(self) -> None:
        self.ask(listing("web1"))
        self.ask(listing("vm1", hypervisor="kvm"))
        self.turns(5)
        self.assertNotIn(("web1", "vm1"), [only for _, only in self.nodes.names])

    def test_a_caller_that_is_cancelled_leaves_the_others_their_answers(self) -> None:
        first, second = self.ask(listing("web1")), self.ask(listing("web2"))
        self.turns()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        # The first call was only about its guest.
        self.assertEqual(self.nodes.cancelled, ["node1"])
        for name in ("node2", "node1"):
            self.nodes.answer(name, WEB2)
        self.assertEqual(self.result(second), {"node2": {"web2": WEB2}, "node1": {"web2": WEB2}})

    def test_calls_that_have_no_caller_left_are_cancelled_and_others_not_sent(self) -> None:
        asking = self.ask(listing("web1"))
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual(self.nodes.cancelled, ["node1"])
        self.turns()
        self.assertEqual(self.nodes.names, [("node1", ("web1",))])

    def test_a_caller_that_is_cancelled_before_it_goes_on_is_cancelled(self) -> None:
        asking = self.ask(listing("web1"))
        self.turns()
        for name in ("node1", "node2"):
            self.nodes.answer(name)
        asking.cancel()
        self.turns()
        self.failureResultOf(asking, CancelledError)

    def test_other_work_has_a_turn_between_those_of_callers_that_go_on(self) -> None:
        asking = [self.ask(listing(name), NODES[:2]) for name in ("web1", "web2", "web3")]
        self.turns()
        for name in ("node2", "node1", "node1"):
            self.nodes.answer(name)
        gone_on: list[int] = []

        def work() -> None:
            gone_on.append(sum(one.called for one in asking))

        asking[0].addCallback(lambda _: self.clock.callLater(0, work))
        self.turns()
        self.assertEqual(gone_on, [2])
        self.assertEqual(sum(one.called for one in asking), 3)

    def test_a_newer_master_ends_the_questions_to_its_node_only(self) -> None:
        asking, other = self.ask(listing("web1"), NODES[:2]), self.ask(listing("web2"), NODES[2:])
        self.turns()
        self.nodes.fail("node1", NotMaster("node2 is the master"))
        self.turns()
        self.failureResultOf(asking, NotMaster)
        for name in ("node3", "node4"):
            self.nodes.answer(name)
        self.assertEqual(self.result(other), {"node3": {}, "node4": {}})

    def test_a_call_that_fails_at_once_keeps_the_next_one_from_being_sent(self) -> None:
        self.listings = SharedListings(self.nodes, self.clock, calls_per_turn=2)
        self.nodes.replaced = {"node1"}
        asking = self.ask(listing("web1"), NODES[:3])
        self.turns()
        self.failureResultOf(asking, NotMaster)
        self.assertEqual(self.nodes.names, [("node1", ("web1",))])

    def test_other_calls_and_questions_to_few_nodes_are_passed_on(self) -> None:
        everything = ListGuests(hypervisors=("fake",))
        for call, nodes in ((AskVersion(), NODES), (everything, NODES), (listing("a"), NODES[:1])):
            self.successResultOf(self.ask(call, nodes))
        self.assertEqual(len(self.nodes.asked), len(NODES) + len(NODES) + 1)
        self.assertNoResult(self.listings.ask(NODES[0], AskVersion()))
