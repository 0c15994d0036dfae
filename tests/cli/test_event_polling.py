# SPDX-License-Identifier: BSD-2-Clause
"""A request for events waits for a master that restarts, and for no other error."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.event_polling import RETRIES, RETRY_SECONDS, ask_with_retries
from ganeti.errors import Code, Failed, Refused
from ganeti.luxi.methods import QueryTags
from ganeti.luxi.unreachable import MasterNotRunning
from tests.cli.terminal import Terminal

ASKED = QueryTags(kind="cluster", name="")
AWAY = MasterNotRunning("the master daemon is not running")
EARLY = Refused("the master was not elected yet", Code.TEMPORARY)


class RetryTests(SynchronousTestCase):
    def ask(self, *answers: Any, patient: bool = True) -> Any:
        """Ask a master whose last answer is repeated."""
        left = list(answers)
        self.terminal = Terminal({QueryTags: lambda _: left.pop(0) if left[1:] else left[0]})
        return self.terminal.call(lambda it: ask_with_retries(it, ASKED, patient=patient))

    def test_a_master_that_answers_is_asked_once(self) -> None:
        self.assertEqual(self.ask(["a"]), ["a"])
        self.assertEqual((len(self.terminal.asked()), self.terminal.slept), (1, []))

    def test_one_that_restarts_is_asked_again_each_second(self) -> None:
        self.assertEqual(self.ask(AWAY, EARLY, AWAY, ["a"]), ["a"])
        self.assertEqual(self.terminal.slept, [RETRY_SECONDS] * 3)

    def test_one_that_stays_away_is_given_up(self) -> None:
        for error in (AWAY, EARLY):
            with self.assertRaises(type(error)):
                self.ask(error)
            self.assertEqual(len(self.terminal.asked()), RETRIES)
            self.assertEqual(len(self.terminal.slept), RETRIES - 1)

    def test_the_first_request_does_not_wait(self) -> None:
        for error in (AWAY, EARLY):
            with self.assertRaises(type(error)):
                self.ask(error, ["a"], patient=False)
            self.assertEqual(self.terminal.slept, [])

    def test_another_refusal_is_final(self) -> None:
        for error in (Refused("no", Code.STATE), Refused("no"), Failed("no")):
            with self.assertRaises(type(error)):
                self.ask(error, ["a"])
            self.assertEqual(len(self.terminal.asked()), 1)
