# SPDX-License-Identifier: BSD-2-Clause
"""Verbs that answer what was used, and how jobs did: over the last hours by what the daemons keep,
over a longer time by Prometheus."""

from __future__ import annotations

from http import HTTPStatus
from typing import TypedDict

from ganeti.errors import AccessDenied, Code, Invalid, Problem, Refused, Unauthenticated
from ganeti.luxi.methods import QueryJobRates, QueryObjects, QueryUsage
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.request_arguments import ArgumentType, QueryParameter, QueryValues
from ganeti.rapi.usage_history import MAX_HOURS, UsageHistory
from ganeti.rapi.verbs import ApiCall, asks, unknown

HOURS = QueryParameter(
    "hours",
    ArgumentType.NUMBER,
    "Ask Prometheus for the last so many hours, if this server has one (the feature"
    " usage-history). Without it: the last four hours, as the daemons keep them.",
)


HISTORY_ERRORS = {HTTPStatus.CONFLICT: "This server has no Prometheus to ask."}
"""Answers with errors that a request for hours can have, with the reasons."""


class UsageAnswer(TypedDict):
    """Points of fixed step in seconds, the newest at ``end``; null is what is not known."""

    step: float
    end: float
    series: dict[str, list[float | None]]


def shows_usage(kind: str, variable: str) -> asks:
    """Return the method that answers what an object has used."""

    async def answer(call: ApiCall, values: QueryValues, __: object) -> object:
        """Processors, memory, disk and network that were used over the last hours."""
        name = call.path[variable]
        if "hours" not in values:
            return await call.master.ask_raw(QueryUsage(kind=kind, name=name))
        history = _history(call, values["hours"])
        asked = QueryObjects(what=kind, fields=("name", "ctime"), names=(name,))
        rows = await call.master.ask(asked)
        if not rows:
            raise unknown(kind, name)
        (found,) = rows
        if kind == "node":
            return await history.node(found["name"], values["hours"])
        return await history.instance(found["name"], values["hours"], found["ctime"] or 0.0)

    return asks(
        answer,
        parameters=(HOURS,),
        access=AccessLevel.LOGIN,
        result=UsageAnswer,
        errors=HISTORY_ERRORS,
        unlimited=kind == "node",
    )


async def job_rates(call: ApiCall, values: QueryValues, _: object) -> object:
    """How many jobs have ended over the last hours, how long they waited, and how long they ran."""
    if "hours" not in values:
        return await call.master.ask_raw(QueryJobRates())
    if not call.user:
        raise Unauthenticated("log in with a user of this cluster to see more than four hours")
    if call.admitted.limited:
        # Prometheus counts the jobs of all.
        raise AccessDenied(
            f"the role of user {call.user} is limited to some instances; it sees the job rates of"
            " the last four hours"
        )
    return await _history(call, values["hours"]).jobs(values["hours"])


def _history(call: ApiCall, hours: int) -> UsageHistory:
    """Return what was kept of the past.

    :raises Invalid: it is not kept for so many hours.
    :raises Refused: there is no Prometheus.
    """
    if not 1 <= hours <= MAX_HOURS:
        raise Invalid([Problem(HOURS.name, f"must be from 1 to {MAX_HOURS}")])
    if call.services.history is None:
        raise Refused(
            "this server has no Prometheus to ask; start ganeti-rapi with --prometheus, or omit the"
            " parameter hours for the last four hours",
            Code.STATE,
        )
    return call.services.history
