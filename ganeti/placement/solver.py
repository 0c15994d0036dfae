# SPDX-License-Identifier: BSD-2-Clause
"""The questions about placement as a program: reads one from its input, and writes the answer.

The master runs it as a process of low priority, because a search takes seconds of computation.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from ganeti.placement.balance import BalanceOptions, BalancePlan, plan_balance
from ganeti.placement.capacity import Capacity, Size, compute_capacity
from ganeti.placement.cluster_model import ClusterModel
from ganeti.placement.failures import (
    FailurePlan,
    SurvivalReport,
    plan_failures,
    survey_failures,
)
from ganeti.schema.records import Record

NICENESS = 10
"""The niceness of the program, so that it does not take processor time from the master."""


class BalanceQuestion(Record, tag="balance"):
    """Which moves balance the node groups of a cluster?"""

    model: ClusterModel
    options: BalanceOptions


class CapacityQuestion(Record, tag="capacity"):
    """How many instances of each size fit into a cluster?"""

    model: ClusterModel
    sizes: tuple[Size, ...]


class FailureQuestion(Record, tag="failure"):
    """Where do instances go when these nodes fail? ``ranks`` has those that are to fail over."""

    model: ClusterModel
    failed: tuple[str, ...]
    ranks: dict[str, int]


class SurvivalQuestion(Record, tag="survival"):
    """Which failures does a cluster survive?"""

    model: ClusterModel
    ranks: dict[str, int]


Question: TypeAlias = BalanceQuestion | CapacityQuestion | FailureQuestion | SurvivalQuestion
Answer: TypeAlias = BalancePlan | Capacity | FailurePlan | SurvivalReport


def solve(question: Question, seconds: Callable[[], float] = time.monotonic) -> Answer:
    """Answer a question; ``seconds`` is a monotonic clock."""
    if isinstance(question, BalanceQuestion):
        return plan_balance(question.model, question.options, seconds)
    if isinstance(question, FailureQuestion):
        return plan_failures(question.model, question.failed, question.ranks)
    if isinstance(question, SurvivalQuestion):
        return survey_failures(question.model, question.ranks)
    return compute_capacity(question.model, question.sizes)


_ANSWERS: Mapping[type[Question], type[Answer]] = {
    BalanceQuestion: BalancePlan,
    CapacityQuestion: Capacity,
    FailureQuestion: FailurePlan,
    SurvivalQuestion: SurvivalReport,
}


def decode_answer(question: Question, encoded: bytes) -> Answer:
    """Decode the answer of the program to a question."""
    return msgspec.json.decode(encoded, type=_ANSWERS[type(question)])


if __name__ == "__main__":
    os.nice(NICENESS)
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdout.buffer.write(msgspec.json.encode(solve(given)))
