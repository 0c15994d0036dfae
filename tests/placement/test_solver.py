# SPDX-License-Identifier: BSD-2-Clause
"""Questions about placement and their answers, as they pass between the master and the program."""

from __future__ import annotations

from itertools import count

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.placement.balance import BalanceOptions, BalancePlan, plan_balance
from ganeti.placement.capacity import Capacity, Size, compute_capacity
from ganeti.placement.cluster_model import Storage
from ganeti.placement.failures import (
    FailurePlan,
    SurvivalReport,
    plan_failures,
    survey_failures,
)
from ganeti.placement.solver import (
    Answer,
    BalanceQuestion,
    CapacityQuestion,
    FailureQuestion,
    Question,
    SurvivalQuestion,
    decode_answer,
    solve,
)
from ganeti.testing.placement import a_cluster_model, a_mirrored, a_node_model, a_shared

NODES = [a_node_model(f"node{number}") for number in range(3)]
MODEL = a_cluster_model(
    NODES,
    [a_mirrored("db1", "node0", "node1"), a_shared("web1", "node0"), a_shared("web2", "node0")],
)
SIZE = Size(
    name="small", memory=1024, disk=1024, vcpus=1, storage=Storage.MIRRORED, groups=("default",)
)
RANKS = {"web1": 1, "db1": 2}
QUESTIONS: tuple[tuple[Question, type[Answer]], ...] = (
    (BalanceQuestion(model=MODEL, options=BalanceOptions()), BalancePlan),
    (CapacityQuestion(model=MODEL, sizes=(SIZE,)), Capacity),
    (FailureQuestion(model=MODEL, failed=("node0",), ranks=RANKS), FailurePlan),
    (SurvivalQuestion(model=MODEL, ranks=RANKS), SurvivalReport),
)


def a_clock() -> float:
    return 0.0


class SolverTests(SynchronousTestCase):
    def test_each_question_has_its_answer(self) -> None:
        answers = [solve(question, a_clock) for question, _ in QUESTIONS]
        expected = [
            plan_balance(MODEL, BalanceOptions(), a_clock),
            compute_capacity(MODEL, (SIZE,)),
            plan_failures(MODEL, ("node0",), RANKS),
            survey_failures(MODEL, RANKS),
        ]
        self.assertEqual(answers, expected)
        self.assertEqual([type(each) for each in answers], [kind for _, kind in QUESTIONS])

    def test_questions_and_answers_survive_their_way_to_the_program_and_back(self) -> None:
        for question, _ in QUESTIONS:
            sent = msgspec.json.decode(msgspec.json.encode(question), type=Question)
            self.assertEqual(sent, question)
            answer = solve(sent, a_clock)
            self.assertEqual(decode_answer(question, msgspec.json.encode(answer)), answer)

    def test_the_time_limit_is_measured_by_the_given_clock(self) -> None:
        model = a_cluster_model(NODES, [a_shared(f"web{number}", "node0") for number in range(9)])
        question = BalanceQuestion(model=model, options=BalanceOptions(time_limit=1.0))
        ticks = count()
        answer = solve(question, lambda: float(next(ticks)))
        assert isinstance(answer, BalancePlan)
        self.assertTrue(answer.groups[0].timed_out)

    def test_the_answer_to_another_question_is_not_accepted(self) -> None:
        (balance, _), (capacity, _), *_ = QUESTIONS
        encoded = msgspec.json.encode(solve(capacity, a_clock))
        self.assertRaises(msgspec.ValidationError, decode_answer, balance, encoded)
