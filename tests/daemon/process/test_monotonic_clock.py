# SPDX-License-Identifier: BSD-2-Clause
"""Timers go on evenly while the clock of the host is set."""

from __future__ import annotations

import time

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.process import monotonic_clock
from ganeti.daemon.process.monotonic_clock import MonotonicReactor


class MonotonicReactorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MonotonicReactor()
        # A reactor that never runs still has files open to wake it.
        self.addCleanup(self.reactor._poller.close)
        for waker in self.reactor._internalReaders:
            self.addCleanup(waker.connectionLost, None)
        self.passed = 50.0
        self.patch(time, "monotonic", lambda: self.passed)
        self.patch(monotonic_clock, "_OFFSET", 1_000_000.0 - self.passed)

    def test_timers_go_by_what_has_passed_whatever_the_clock_says(self) -> None:
        heard: list[str] = []
        self.reactor.callLater(10, heard.append, "ten")
        self.patch(time, "time", lambda: 2_000_000.0)
        self.reactor.runUntilCurrent()
        self.assertEqual(heard, [])
        self.passed += 10
        self.reactor.runUntilCurrent()
        self.assertEqual((heard, self.reactor.seconds()), (["ten"], 1_000_010.0))
