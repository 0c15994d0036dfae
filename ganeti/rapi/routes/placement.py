# SPDX-License-Identifier: BSD-2-Clause
"""The resources about placement: the balance of node groups, and their capacity."""

from __future__ import annotations

from typing import TypedDict

from ganeti.luxi.methods import PlanJob
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.placement import BalanceCluster, CountCapacity
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.request_arguments import QueryValues
from ganeti.rapi.routes.route import Route
from ganeti.rapi.verbs import ApiCall, asks, parameter, submits
from ganeti.schema.reading import read

_BALANCE = ("group_name", "nodes", "tags", "max_moves", "min_gain", "disk_moves", "time_limit")
_CAPACITY = ("group_name", "memory", "vcpus", "disk_size", "spindle_use", "disk_template")


class ScoreAnswer(TypedDict):
    """A score, and the parts that it is made of."""

    score: float
    spreads: dict[str, float]
    faults: dict[str, float]
    reserved: float


# "from" is a word of the language, so that this type cannot be a class.
MoveAnswer = TypedDict(
    "MoveAnswer",
    {
        "instance": str,
        "from": list[str],
        "to": list[str],
        "steps": list[tuple[str, str]],
        "score": float,
    },
)
"""A move: the nodes before and after it, the primary node first, its steps, and the score then."""


class GroupPlanAnswer(TypedDict):
    """The moves of a node group in their order, and its score before and after them."""

    name: str
    before: ScoreAnswer
    after: ScoreAnswer
    timed_out: bool
    moves: list[MoveAnswer]


class BalanceAnswer(TypedDict):
    """A plan; ``silent`` are nodes that do not answer, whose instances stay there."""

    groups: list[GroupPlanAnswer]
    silent: list[str]


class GroupCapacityAnswer(TypedDict):
    """How many instances fit, and the number of nodes by what stops the next one there."""

    name: str
    count: int
    limits: dict[str, int]


class CapacityAnswer(TypedDict):
    """How many instances of a size fit; memory and disk space on each node in MiB."""

    disk_template: str
    memory: int
    vcpus: int
    disk_space: int
    count: int
    groups: list[GroupCapacityAnswer]


async def _plan_balance(call: ApiCall, values: QueryValues, _: object) -> object:
    """Return the moves that would balance the node groups; nothing is submitted."""
    return await _preview(call, read(BalanceCluster, dict(values), lax=True))


async def _count_capacity(call: ApiCall, values: QueryValues, _: object) -> object:
    """Return how many more instances of a size fit, and what stops the next one."""
    return await _preview(call, read(CountCapacity, dict(values), lax=True))


async def _preview(call: ApiCall, opcode: Opcode) -> object:
    (plan,) = await call.master.ask(PlanJob(ops=(opcode,)))
    return plan["preview"]


ROUTES = (
    Route(
        "/2/balance",
        {
            "GET": asks(
                _plan_balance,
                parameters=tuple(parameter(BalanceCluster, name) for name in _BALANCE),
                access=AccessLevel.ADMIN,
                result=BalanceAnswer,
                unlimited=True,
            ),
            "PUT": submits(BalanceCluster),
        },
    ),
    Route(
        "/2/capacity",
        {
            "GET": asks(
                _count_capacity,
                parameters=tuple(parameter(CountCapacity, name) for name in _CAPACITY),
                access=AccessLevel.LOGIN,
                result=list[CapacityAnswer],
                unlimited=True,
            )
        },
    ),
)
