# SPDX-License-Identifier: BSD-2-Clause
"""Links between simulated hosts lose, delay and repeat what TCP would."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rpc.node_client import TransportError
from ganeti.testing.links import CONNECT_TIMEOUT, RETRANSMISSION, Links


class LinksTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.links = Links(self.clock, Random(1), lambda: 0.01)

    def answer(self, source: str = "a", destination: str = "b") -> Deferred[None]:
        return Deferred.fromCoroutine(self.links.answer(source, destination))

    def test_a_message_takes_its_time_and_none_is_lost_on_an_open_link(self) -> None:
        arriving = self.answer()
        self.clock.advance(0.005)
        self.assertNoResult(arriving)
        self.clock.advance(0.005)
        self.successResultOf(arriving)

    def test_a_cut_holds_one_direction_and_what_is_repeated_arrives_after_it(self) -> None:
        self.links.cut_link("a", "b")
        held, back = self.answer(), self.answer("b", "a")
        self.clock.pump([0.01, 5.0])
        self.successResultOf(back)
        self.assertNoResult(held)
        self.links.heal("a", "b")
        self.clock.advance(2.0)
        self.successResultOf(held)

    def test_what_is_repeated_for_too_long_is_lost(self) -> None:
        self.links.cut_link("a", "b")
        held = self.answer()
        self.clock.pump([0.01, RETRANSMISSION])
        self.failureResultOf(held, TransportError)

    def test_a_new_connection_needs_both_directions_and_an_open_one_does_not(self) -> None:
        self.links.cut_link("b", "a")
        outcomes: set[type[Exception] | None] = set()
        for _ in range(20):
            asking = Deferred.fromCoroutine(self.links.request("a", "b"))
            asking.addErrback(lambda failure: failure.type)
            self.clock.advance(CONNECT_TIMEOUT)
            outcomes.add(self.successResultOf(asking))
        self.assertEqual(outcomes, {None, TransportError})

    def test_a_partition_parts_the_sides_and_leaves_each_whole(self) -> None:
        self.links.cut_between(["a", "b"], ["c"])
        self.assertTrue(self.links.connected("a", "b"))
        self.assertFalse(self.links.is_open("a", "c") or self.links.is_open("c", "b"))
        self.links.heal_all()
        self.assertTrue(self.links.connected("a", "c"))

    def test_a_flapping_link_is_up_and_down_in_turns_until_it_is_healed(self) -> None:
        self.links.flap("a", "b", up=1.0, down=1.0)
        seen = set()
        for _ in range(40):
            seen.add(self.links.connected("a", "b"))
            self.clock.advance(0.5)
        self.links.heal_all()
        self.clock.advance(10.0)
        self.assertEqual(seen, {True, False})
        self.assertTrue(self.links.connected("a", "b"))
        self.assertEqual(self.clock.getDelayedCalls(), [])
