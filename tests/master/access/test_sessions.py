# SPDX-License-Identifier: BSD-2-Clause
"""Sessions go by a clock that nobody sets, and their notes by the time of day."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.tokens import digest_of
from ganeti.luxi.caller import Caller
from ganeti.master.access.sessions import IDLE, Sessions
from ganeti.testing.processes import MemoryStateFiles

NOON = 1_700_000_000.0
SESSION, DIGEST = "0123456789abcdef", digest_of("secret")


class ClockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.notes = Clock(), MemoryStateFiles()
        self.offset = NOON
        self.sessions = self.start()
        self.sessions.open(SESSION, DIGEST, Caller(user="ann"), "ann")

    def start(self) -> Sessions:
        """Sessions as a daemon finds them that starts now."""
        return Sessions(self.clock.seconds, lambda: self.offset + self.clock.seconds(), self.notes)

    def found(self, sessions: Sessions) -> bool:
        return sessions.find_caller(SESSION, DIGEST) is not None

    def test_a_clock_that_is_set_ends_and_lengthens_no_session_of_a_daemon_that_runs(self) -> None:
        for change in (-86400, 86400):
            self.offset = NOON + change
            self.assertTrue(self.found(self.sessions))
        self.clock.advance(IDLE)
        self.assertFalse(self.found(self.sessions))

    def test_a_clock_that_was_set_back_makes_no_session_last(self) -> None:
        self.offset -= 3600
        self.assertFalse(self.found(self.start()))
        self.assertEqual(self.notes.read_all(), {})

    def test_a_clock_that_was_set_ahead_ends_it(self) -> None:
        self.offset += IDLE
        self.assertFalse(self.found(self.start()))
