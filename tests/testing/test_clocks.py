# SPDX-License-Identifier: BSD-2-Clause
"""The clocks of simulated hosts are as wrong as real ones."""

from __future__ import annotations

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.testing.clocks import HostClock, ProcessClock


class ProcessClockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.true = Clock()
        self.clock = ProcessClock(HostClock(self.true))
        self.happened: list[str] = []

    def test_a_fast_clock_counts_more_and_its_timers_fire_early(self) -> None:
        clock = ProcessClock(HostClock(self.true, rate=1.25))
        clock.callLater(10, self.happened.append, "fired")
        self.true.advance(8)
        self.assertEqual((clock.seconds(), self.happened), (10, ["fired"]))

    def test_a_jump_of_the_wall_clock_moves_no_timer(self) -> None:
        self.clock.callLater(10, self.happened.append, "fired")
        self.clock.host.jump(3600)
        self.true.advance(9)
        self.assertEqual((self.clock.now(), self.clock.seconds()), (3609, 9))
        self.assertEqual(self.happened, [])

    def test_what_became_due_in_a_pause_happens_after_it_in_order(self) -> None:
        self.clock.callLater(1, self.happened.append, "first")
        self.clock.callLater(2, self.happened.append, "second")
        self.clock.pause()
        self.clock.when_running(lambda: self.happened.append("message"))
        self.true.advance(5)
        self.assertEqual(self.happened, [])
        self.clock.resume()
        self.true.advance(0)
        self.assertEqual(self.happened, ["first", "second", "message"])

    def test_a_dead_process_neither_gets_messages_nor_sees_its_timers_fire(self) -> None:
        self.clock.callLater(1, self.happened.append, "timer")
        self.clock.die()
        self.clock.when_running(lambda: self.happened.append("message"))
        self.clock.callLater(1, self.happened.append, "made after death")
        self.true.advance(5)
        self.assertEqual((self.happened, self.true.getDelayedCalls()), ([], []))

    def test_a_call_is_moved_and_canceled_as_those_of_a_reactor(self) -> None:
        call = self.clock.callLater(1, self.happened.append, "moved")
        call.reset(5)
        call.delay(1)
        self.assertEqual(call.getTime(), 6)
        self.true.advance(6)
        self.assertEqual((self.happened, call.active()), (["moved"], False))
        self.assertRaises(AlreadyCalled, call.cancel)
        other = self.clock.callLater(1, self.happened.append, "never")
        other.cancel()
        self.assertRaises(AlreadyCancelled, other.reset, 1)
        self.true.advance(6)
        self.assertEqual(self.happened, ["moved"])

    def test_a_call_that_became_due_in_a_pause_can_still_be_canceled(self) -> None:
        call = self.clock.callLater(1, self.happened.append, "late")
        self.clock.pause()
        self.true.advance(2)
        call.cancel()
        self.clock.resume()
        self.true.advance(2)
        self.assertEqual(self.happened, [])
