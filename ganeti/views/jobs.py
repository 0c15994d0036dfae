# SPDX-License-Identifier: BSD-2-Clause
"""Jobs, with the state, result and log of each of their opcodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from ganeti.errors import Invalid
from ganeti.jobs.job import Job, QueuedOpcode
from ganeti.opcodes.writing import redacted
from ganeti.query.fields import Compare, Field, FieldStatus, FieldType, Source, Table


@dataclass(frozen=True)
class JobRow:
    """A job, live or archived; None for an id that was asked for and belongs to no job."""

    id: int
    job: Job | None
    archived: bool = False

    @classmethod
    def of(cls, job: Job, *, archived: bool = False) -> JobRow:
        """The row of a job that there is."""
        return cls(job.id, job, archived)


F = Field[JobRow]


def _of(value: Callable[[Job], Any]) -> Callable[[JobRow], Any]:
    return lambda row: FieldStatus.UNAVAILABLE if row.job is None else value(row.job)


def _each(value: Callable[[QueuedOpcode], Any]) -> Callable[[JobRow], Any]:
    return _of(lambda job: [value(op) for op in job.ops])


_ALWAYS = {"dry_run": False, "debug_level": 0}
"""Parameters that clients find in every opcode, given or not."""


def shown(op: QueuedOpcode) -> dict[str, Any]:
    """An opcode as anybody may see it; of one that is not understood any more, its name."""
    try:
        return {**_ALWAYS, **redacted(op.opcode)}
    except Invalid:
        return {"OP_ID": msgspec.json.decode(op.input.raw).get("OP_ID")}


def _job(
    name: str,
    title: str,
    text: str,
    value: Callable[[JobRow], Any],
    kind: FieldType = FieldType.OTHER,
    compare: Compare = Compare.PLAIN,
) -> F:
    return F(name, title, kind, text, value, Source.JOBS, compare)


_TIME = Compare.SPLIT_TIMESTAMP

JOBS: Table[JobRow] = Table(
    (
        _job("id", "ID", "The job's number.", lambda row: row.id, FieldType.NUMBER, Compare.JOB_ID),
        _job("status", "Status", "How far it is.", _of(lambda j: j.status.value), FieldType.TEXT),
        _job(
            "priority",
            "Priority",
            "How urgent it is; lower numbers run earlier.",
            _of(lambda job: job.priority),
            FieldType.NUMBER,
        ),
        F(
            "archived",
            "Archived",
            FieldType.BOOL,
            "Whether it is in the archive.",
            lambda row: row.archived,
            Source.ARCHIVE,
        ),
        _job(
            "received_ts",
            "Received",
            "When it was submitted.",
            _of(lambda job: job.received_timestamp),
            compare=_TIME,
        ),
        _job(
            "start_ts",
            "Start",
            "When it was begun.",
            _of(lambda job: job.start_timestamp),
            compare=_TIME,
        ),
        _job("end_ts", "End", "When it ended.", _of(lambda j: j.end_timestamp), compare=_TIME),
        _job("summary", "Summary", "Its opcodes, in a line each.", _of(lambda j: list(j.summary))),
        _job("ops", "OpCodes", "Its opcodes.", _each(shown)),
        _job("opstatus", "OpCode_status", "How far each is.", _each(lambda op: op.status.value)),
        _job("opresult", "OpCode_result", "What each answered.", _each(lambda op: op.result)),
        _job("oplog", "OpCode_log", "The messages of each.", _each(lambda op: list(op.log))),
        _job("oppriority", "OpCode_prio", "How urgent each is.", _each(lambda op: op.priority)),
        _job(
            "opstart",
            "OpCode_start",
            "When each first waited for its locks.",
            _each(lambda op: op.start_timestamp),
        ),
        _job(
            "opexec",
            "OpCode_exec",
            "When each began to run.",
            _each(lambda op: op.exec_timestamp),
        ),
        _job("opend", "OpCode_end", "When each ended.", _each(lambda op: op.end_timestamp)),
    ),
    key="id",
)
