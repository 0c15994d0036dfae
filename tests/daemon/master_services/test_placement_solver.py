# SPDX-License-Identifier: BSD-2-Clause
"""A search for placements is a process of its own, and only one runs at a time."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.master_services.placement_solver import SolverProgram
from ganeti.errors import Code, Failed
from ganeti.placement.capacity import Capacity
from ganeti.placement.cluster_model import ClusterModel
from ganeti.placement.solver import CapacityQuestion, Question, solve
from ganeti.testing.processes import MemoryProcesses, Ran, Script

QUESTION = CapacityQuestion(model=ClusterModel(nodes=(), instances=()), sizes=())


def answering(ran: Ran, **how: Any) -> Script:
    """Answer the question on the standard input, as the program does."""
    question = msgspec.json.decode(ran.stdin, type=Question)
    return Script(out=msgspec.json.encode(solve(question)), **how)


class SolverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.processes = MemoryProcesses(self.clock, {sys.executable: answering})
        self.solver = SolverProgram(self.processes)

    def ask(self) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.solver(QUESTION))

    def program(self, script: Any) -> None:
        self.processes.programs[sys.executable] = script

    def refusal(self) -> str:
        error = self.failureResultOf(self.ask(), Failed).value
        self.assertEqual(error.code, Code.INTERNAL)
        return str(error)

    def test_the_answer_is_that_of_the_module(self) -> None:
        found = self.successResultOf(self.ask())
        self.assertIsInstance(found, Capacity)
        self.assertEqual(found, solve(QUESTION))
        [ran] = self.processes.ran
        self.assertEqual(ran.argv, (sys.executable, "-m", "ganeti.placement.solver"))

    def test_a_second_question_waits_for_the_first(self) -> None:
        self.program(lambda ran: answering(ran, takes=2.0))
        first, second = self.ask(), self.ask()
        self.assertEqual(len(self.processes.alive), 1)
        self.clock.advance(2.0)
        self.successResultOf(first)
        self.assertNoResult(second)
        self.clock.advance(2.0)
        self.successResultOf(second)

    def test_a_canceled_search_is_killed_and_the_next_one_begins(self) -> None:
        self.program(lambda ran: answering(ran, takes=2.0))
        first, second = self.ask(), self.ask()
        first.cancel()
        self.failureResultOf(first)
        self.assertEqual(len(self.processes.killed), 1)
        self.clock.advance(2.0)
        self.successResultOf(second)

    def test_a_failure_is_told_in_the_words_of_the_program(self) -> None:
        self.program(Script(code=1, err=b"MemoryError\n"))
        self.assertEqual(self.refusal(), "the search for placements failed: MemoryError")
        self.program(Script(code=1, err=b"\xff"))
        self.assertIn("failed: \ufffd", self.refusal())

    def test_a_failure_without_words_has_its_exit_code(self) -> None:
        self.program(Script(code=-9))
        self.assertEqual(self.refusal(), "the search for placements failed: exit code -9")

    def test_after_a_failure_the_next_question_is_answered(self) -> None:
        self.program(Script(code=1))
        self.refusal()
        self.program(answering)
        self.successResultOf(self.ask())

    def test_a_search_that_does_not_end_is_given_up(self) -> None:
        self.program(Script(hangs=True))
        asked = self.ask()
        self.clock.advance(299)
        self.assertNoResult(asked)
        self.clock.advance(1)
        self.failureResultOf(asked, Failed)
