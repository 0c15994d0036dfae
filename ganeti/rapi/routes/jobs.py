# SPDX-License-Identifier: BSD-2-Clause
"""The resources of jobs: status, waiting, and canceling."""

from __future__ import annotations

from typing import Annotated, TypedDict

from ganeti.errors import JobLost
from ganeti.luxi.methods import CancelJob, QueryJobs, WaitForJobChange
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.request_arguments import REASON
from ganeti.rapi.routes.route import Route
from ganeti.rapi.usage_verbs import HISTORY_ERRORS, HOURS, UsageAnswer, job_rates
from ganeti.rapi.verbs import ApiCall, asks, lists
from ganeti.schema.records import Record, doc
from ganeti.schema.types import JsonValue, Text

BULK_FIELDS = (
    *("id", "ops", "status", "summary", "opstatus", "received_ts", "start_ts", "end_ts"),
)
FIELDS = (*BULK_FIELDS, "oplog", "opresult")

WAIT_TIMEOUT = 10
"""How long one request waits for a change, in seconds."""


class JobAnswer(TypedDict):
    """The details of a job; lists have one item for each of its opcodes."""

    id: int
    ops: list[dict[str, JsonValue]]
    status: str
    summary: list[str]
    opstatus: list[str]
    received_ts: tuple[int, int] | None
    start_ts: tuple[int, int] | None
    end_ts: tuple[int, int] | None
    oplog: list[list[tuple[int, tuple[int, int], str, JsonValue]]]
    opresult: list[JsonValue]


class JobChangeAnswer(TypedDict):
    """The current values of the requested fields, and the log entries since the last call."""

    job_info: list[JsonValue] | None
    log_entries: list[tuple[int, tuple[int, int], str, JsonValue]] | None


class WaitBody(Record):
    """What to wait for."""

    fields: Annotated[tuple[Text, ...], doc("The fields of the job to watch.")] = ("status",)
    previous_job_info: Annotated[
        list[JsonValue] | None, doc("The last known values of the fields.")
    ] = None
    previous_log_serial: Annotated[
        int | None, doc("The highest known serial number of a log entry.")
    ] = None


async def _show_job(call: ApiCall, _: object, __: object) -> object:
    """Return the details of one job."""
    number = int(call.path["job_id"])
    rows = await call.master.ask(QueryJobs(ids=(number,), fields=FIELDS))
    row = rows[0] if rows else None
    # For an unknown job, all fields but the ID are null.
    if row is None or row[FIELDS.index("status")] is None:
        raise _job_lost(number)
    return dict(zip(FIELDS, row, strict=True))


async def _cancel(call: ApiCall, _: object, __: object) -> object:
    """Cancel a job; return whether that succeeded, and a message."""
    return await call.master.ask_raw(CancelJob(job_id=int(call.path["job_id"])))


async def _wait(call: ApiCall, _: object, watch: WaitBody) -> object:
    """Wait for a change of a job; return null if there is none within ten seconds.

    The values of a finished job are returned at once, even to a client that knows them: it cannot
    change any more, and Ganeti's own client repeats the request as long as it gets null.
    """
    number = int(call.path["job_id"])
    request = WaitForJobChange(
        job_id=number,
        fields=watch.fields,
        prev_job_info=watch.previous_job_info,
        prev_log_serial=watch.previous_log_serial,
        timeout=WAIT_TIMEOUT,
    )
    answer = await call.master.ask(request)
    if answer is None:
        raise _job_lost(number)
    if answer == "nochange":
        return None
    info, log = answer
    return {"job_info": info, "log_entries": log}


def _job_lost(number: int) -> JobLost:
    return JobLost(f"job {number} does not exist or is archived")


ROUTES = (
    Route(
        "/2/jobs",
        {
            "GET": lists(
                "job",
                "jobs",
                BULK_FIELDS,
                lambda fields: QueryJobs(ids=None, fields=fields),
                ("id",),
                key="id",
            )
        },
    ),
    Route(
        "/2/job-rates",
        {"GET": asks(job_rates, parameters=(HOURS,), result=UsageAnswer, errors=HISTORY_ERRORS)},
    ),
    Route(
        "/2/jobs/{job_id}",
        {
            "GET": asks(_show_job, result=JobAnswer),
            "DELETE": asks(
                _cancel,
                parameters=(REASON,),
                access=AccessLevel.WRITE,
                result=tuple[bool, str],
            ),
        },
    ),
    Route(
        "/2/jobs/{job_id}/wait", {"GET": asks(_wait, body=WaitBody, result=JobChangeAnswer | None)}
    ),
)
