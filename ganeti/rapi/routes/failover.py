# SPDX-License-Identifier: BSD-2-Clause
"""The resources about the failover of guests: policies, settings, status, rehearsals."""

from __future__ import annotations

from typing import TypedDict

from ganeti.luxi.methods import PlanJob, QueryFailover
from ganeti.opcodes.failover import (
    ConfirmNodeOff,
    ModifyFailover,
    RehearseFailure,
    SetFailoverPolicy,
    SetNodeMaintenance,
    SurveyFailures,
)
from ganeti.opcodes.opcode import Opcode
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.request_arguments import QueryValues
from ganeti.rapi.routes.route import Route
from ganeti.rapi.verbs import ApiCall, asks, parameter, submits
from ganeti.schema.reading import read


class SettingsAnswer(TypedDict):
    """The settings of the cluster for the failover of guests."""

    uuid: str
    maintenance: bool
    max_nodes: int
    window: int
    require_device: bool


class NodeAnswer(TypedDict):
    """What is known about a node; ``answered`` is the age of its last answer in seconds."""

    name: str
    needs_lease: bool
    maintenance: bool
    guard: str | None
    answered: float | None
    fence: str | None
    method: str | None
    reason: str
    suspected: bool
    problem: str


class StatusAnswer(TypedDict):
    """The settings, and what is known about each node."""

    settings: SettingsAnswer
    nodes: list[NodeAnswer]


class RehearsalAnswer(TypedDict):
    """What would happen if nodes failed.

    ``fences`` are nodes with what confirms that they are off, and after how many seconds;
    ``placements`` are instances with their old and new node, and the seconds until they start;
    ``refusals`` are instances with their node and the reason.
    """

    fences: list[tuple[str, str, float | None]]
    placements: list[tuple[str, str, str, int | None]]
    refusals: list[tuple[str, str, str]]


class LossAnswer(TypedDict):
    """Nodes that fail together, and the instances that would be lost, with reasons."""

    failed: list[str]
    lost: list[tuple[str, str]]


class SurvivalAnswer(TypedDict):
    """The failures that are not survived; ``pairs`` is the number of pairs that were tried.

    ``unguarded`` are nodes whose failure a person has to confirm.
    """

    instances: int
    nodes: int
    pairs: int
    single: list[LossAnswer]
    double: list[LossAnswer]
    unguarded: list[str]


async def _show_status(call: ApiCall, _: QueryValues, __: object) -> object:
    """Return the settings, and the leases, guards and fences of nodes."""
    return await call.master.ask_raw(QueryFailover())


async def _rehearse(call: ApiCall, values: QueryValues, _: object) -> object:
    """Return what would happen if these nodes failed now."""
    return await _preview(call, read(RehearseFailure, dict(values), lax=True))


async def _survive(call: ApiCall, _: QueryValues, __: object) -> object:
    """Return which failures of one node, and of two nodes, are not survived."""
    return await _preview(call, SurveyFailures())


async def _preview(call: ApiCall, opcode: Opcode) -> object:
    (plan,) = await call.master.ask(PlanJob(ops=(opcode,)))
    return plan["preview"]


_LOGIN, _ADMIN = AccessLevel.LOGIN, AccessLevel.ADMIN

ROUTES = (
    Route(
        "/2/failover",
        {
            "GET": asks(_show_status, access=_LOGIN, result=StatusAnswer, unlimited=True),
            "PUT": submits(ModifyFailover, access=_ADMIN),
        },
    ),
    Route(
        "/2/failover/rehearsal",
        {
            "GET": asks(
                _rehearse,
                parameters=(parameter(RehearseFailure, "node_names"),),
                access=_LOGIN,
                result=RehearsalAnswer,
                unlimited=True,
            )
        },
    ),
    Route(
        "/2/failover/survival",
        {"GET": asks(_survive, access=_LOGIN, result=SurvivalAnswer, unlimited=True)},
    ),
    Route(
        "/2/instances/{instance_name}/failover-policy",
        {"PUT": submits(SetFailoverPolicy, access=_ADMIN)},
    ),
    Route("/2/nodes/{node_name}/maintenance", {"PUT": submits(SetNodeMaintenance, access=_ADMIN)}),
    Route("/2/nodes/{node_name}/confirm-off", {"PUT": submits(ConfirmNodeOff, access=_ADMIN)}),
)
