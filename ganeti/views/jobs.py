# SPDX-License-Identifier: BSD-2-Clause
"""The fields of jobs and of their opcodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from ganeti.errors import Invalid
from ganeti.jobs.job import Job, QueuedOpcode
from ganeti.opcodes.writing import redact
from ganeti.query.fields import Compare, Field, FieldStatus, FieldType, Source, Table


@dataclass(frozen=True)
class JobRow:
    """A job of the queue or the archive; None for an ID that no job has."""

    id: int
    job: Job | None
    archived: bool = False

    @classmethod
    def from_job(cls, job: Job, *, archived: bool = False) -> JobRow:
        """Return the row of an existing job."""
        return cls(job.id, job, archived)


F = Field[JobRow]


def _from_job(value: Callable[[Job], object]) -> Callable[[JobRow], object]:
    return lambda row: FieldStatus.UNAVAILABLE if row.job is None else value(row.job)


def _from_opcodes(value: Callable[[QueuedOpcode], object]) -> Callable[[JobRow], object]:
    return _from_job(lambda job: [value(op) for op in job.ops])


_COMMON_PARAMETERS = {"dry_run": False, "debug_level": 0}
"""Parameters that clients expect in every opcode."""


def shown(op: QueuedOpcode) -> dict[str, object]:
    """Return an opcode without secrets; only its ID if its parameters are no longer understood."""
    try:
        return {**_COMMON_PARAMETERS, **redact(op.opcode)}
    except Invalid:
        return {"OP_ID": msgspec.json.decode(op.input.raw).get("OP_ID")}


def _job_field(
    name: str,
    title: str,
    text: str,
    value: Callable[[JobRow], object],
    kind: FieldType = FieldType.OTHER,
    compare: Compare = Compare.PLAIN,
) -> F:
    return F(name, title, kind, text, value, Source.JOBS, compare)


_TIME = Compare.SPLIT_TIMESTAMP

JOBS: Table[JobRow] = Table(
    (
        _job_field(
            "id", "ID", "The ID of the job.", lambda row: row.id, FieldType.NUMBER, Compare.JOB_ID
        ),
        _job_field(
            "status",
            "Status",
            "The status of the job.",
            _from_job(lambda j: j.status.value),
            FieldType.TEXT,
        ),
        _job_field(
            "priority",
            "Priority",
            "The priority; jobs with lower numbers run earlier.",
            _from_job(lambda job: job.priority),
            FieldType.NUMBER,
        ),
        F(
            "archived",
            "Archived",
            FieldType.BOOL,
            "Whether the job is archived.",
            lambda row: row.archived,
            Source.ARCHIVE,
        ),
        _job_field(
            "received_ts",
            "Received",
            "The time when the job was submitted.",
            _from_job(lambda job: job.received_timestamp),
            compare=_TIME,
        ),
        _job_field(
            "start_ts",
            "Start",
            "The time when the job was started.",
            _from_job(lambda job: job.start_timestamp),
            compare=_TIME,
        ),
        _job_field(
            "end_ts",
            "End",
            "The time when the job ended.",
            _from_job(lambda j: j.end_timestamp),
            compare=_TIME,
        ),
        _job_field(
            "summary",
            "Summary",
            "A one-line summary of each opcode.",
            _from_job(lambda j: list(j.summary)),
        ),
        _job_field("ops", "OpCodes", "The opcodes.", _from_opcodes(shown)),
        _job_field(
            "opstatus",
            "OpCode_status",
            "The status of each opcode.",
            _from_opcodes(lambda op: op.status.value),
        ),
        _job_field(
            "opresult",
            "OpCode_result",
            "The result of each opcode.",
            _from_opcodes(lambda op: op.result),
        ),
        _job_field(
            "oplog",
            "OpCode_log",
            "The messages of each opcode.",
            _from_opcodes(lambda op: list(op.log)),
        ),
        _job_field(
            "oppriority",
            "OpCode_prio",
            "The priority of each opcode.",
            _from_opcodes(lambda op: op.priority),
        ),
        _job_field(
            "opstart",
            "OpCode_start",
            "The time when each opcode first waited for its locks.",
            _from_opcodes(lambda op: op.start_timestamp),
        ),
        _job_field(
            "opexec",
            "OpCode_exec",
            "The time when each opcode started to run.",
            _from_opcodes(lambda op: op.exec_timestamp),
        ),
        _job_field(
            "opend",
            "OpCode_end",
            "The time when each opcode ended.",
            _from_opcodes(lambda op: op.end_timestamp),
        ),
    ),
    key="id",
)
