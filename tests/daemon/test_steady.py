# SPDX-License-Identifier: BSD-2-Clause
"""Timers go on evenly while the clock of the host is set."""

from __future__ import annotations

from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.steady import keep_steady


class _Reactor(ReactorBase):
    """As the real ones, of which it is the clock; it waits for nothing."""

    def installWaker(self) -> None:
        pass

    def removeAll(self) -> list[IReadDescriptor | IWriteDescriptor]:
        return []


class SteadyTests(SynchronousTestCase):
    def test_timers_go_by_what_has_passed_whatever_the_clock_says(self) -> None:
        self.day, self.passed = 1_000_000.0, 50.0
        heard: list[str] = []
        reactor = _Reactor()
        keep_steady(reactor, lambda: self.day, lambda: self.passed)
        self.assertEqual(reactor.seconds(), 1_000_000.0)
        reactor.callLater(10, heard.append, "ten")
        self.day += 3600
        reactor.runUntilCurrent()
        self.assertEqual(heard, [])
        self.day -= 7200
        self.passed += 10
        reactor.runUntilCurrent()
        self.assertEqual((heard, reactor.seconds()), (["ten"], 1_000_010.0))
