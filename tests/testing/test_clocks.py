# SPDX-License-Identifier: BSD-2-Clause
"""The clocks of simulated hosts are as wrong as real ones."""

from __future__ import annotations

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.testing.clocks import HostClock, ProcessClock, SimulatedTime


class SimulatedTimeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.time = SimulatedTime(100.0)
        self.happened: list[str] = []

    def later(self, delay: float, what: str) -> IDelayedCall:
        return self.time.callLater(delay, self.happened.append, what)

    def test_calls_are_made_by_time_and_then_by_age(self) -> None:
        for delay, what in ((2, "third"), (1, "first"), (1, "second"), (3, "never")):
            self.later(delay, what)
        self.time.advance(2)
        self.assertEqual(self.happened, ["first", "second", "third"])
        self.assertEqual((self.time.seconds(), self.time.next_time()), (102.0, 103.0))

    def test_what_is_due_at_once_is_made_in_the_same_advance(self) -> None:
        self.time.callLater(1, self.later, 0, "made by another")
        self.time.advance(1)
        self.assertEqual(self.happened, ["made by another"])

    def test_a_canceled_call_is_not_made(self) -> None:
        self.later(1, "canceled").cancel()
        self.assertEqual((self.time.next_time(), self.time.getDelayedCalls()), (None, []))
        self.time.advance(2)
        self.assertEqual(self.happened, [])

    def test_a_call_that_is_moved_is_made_once_at_its_new_time(self) -> None:
        forward, back = self.later(10, "forward"), self.later(1, "back")
        forward.reset(2)
        back.reset(5)
        self.assertEqual(self.time.getDelayedCalls(), [forward, back])
        self.time.advance(2)
        self.assertEqual(self.happened, ["forward"])
        self.time.advance(20)
        self.assertEqual(self.happened, ["forward", "back"])
        self.assertFalse(forward.active() or back.active())


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
