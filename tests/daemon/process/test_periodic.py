# SPDX-License-Identifier: BSD-2-Clause
"""What passes does not end what a daemon repeats."""

from __future__ import annotations

import errno
import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.process.periodic import PeriodicTask

NO_FILES = OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class PeriodicTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.trouble: Exception | None = None
        self.done = 0
        self.broken: list[Failure] = []
        self.logged: list[str] = []
        observer: Any = self.observe  # any callable is one
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.periodic = PeriodicTask("a look", 1.0, self.work, self.clock, self.broken.append)
        self.periodic.startService()

    def observe(self, event: LogEvent) -> None:
        if event.get("name") == "a look":
            self.logged.append(f"{event['log_level'].name} {event.get('why', '')}".strip())

    def work(self) -> Any:
        if self.trouble is not None:
            raise self.trouble
        self.done += 1

    def test_work_goes_on_after_what_passes(self) -> None:
        for trouble in (NO_FILES, MemoryError()):
            self.trouble = trouble
            self.clock.pump([1.0] * 3)
            self.assertEqual((self.done, self.broken), (0, []))
        self.trouble = None
        self.clock.pump([1.0] * 2)
        self.assertEqual((self.done, self.broken), (2, []))

    def test_trouble_is_logged_once_and_so_is_its_end(self) -> None:
        self.trouble = NO_FILES
        self.clock.pump([1.0] * 3)
        self.trouble = None
        self.clock.pump([1.0] * 3)
        self.assertEqual(self.logged, ["error [Errno 24] Too many open files", "info"])

    def test_a_fault_of_the_program_ends_the_work_and_is_told(self) -> None:
        self.trouble = KeyError("a fault")
        self.clock.pump([1.0] * 3)
        [failure] = self.broken
        self.assertIs(failure.value, self.trouble)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_attempt_waits_for_the_one_before(self) -> None:
        waiting: list[Deferred[None]] = []

        def work() -> Deferred[None]:
            waiting.append(Deferred())
            return waiting[-1]

        periodic = PeriodicTask("slow", 1.0, work, self.clock, self.broken.append)
        periodic.startService()
        self.clock.pump([1.0] * 3)
        self.assertEqual(len(waiting), 1)
        waiting[0].errback(NO_FILES)
        self.clock.advance(1.0)
        self.assertEqual((len(waiting), self.broken), (2, []))
        periodic.stopService()

    def test_nothing_is_done_after_the_stop(self) -> None:
        self.periodic.stopService()
        self.periodic.stopService()
        self.clock.pump([1.0] * 3)
        self.assertEqual((self.done, self.clock.getDelayedCalls()), (0, []))
