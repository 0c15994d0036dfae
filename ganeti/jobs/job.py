# SPDX-License-Identifier: BSD-2-Clause
"""The job record: a sequence of opcodes with the status and log of each.

The records have the format of the queue's files: the content of a file is the JSON of its job.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from ganeti.errors import Failed, Invalid, JobLost, to_wire
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record, replace
from ganeti.schema.types import JsonValue

Timestamp: TypeAlias = tuple[int, int]
"""Whole seconds since the epoch, and microseconds."""

LogEntry: TypeAlias = tuple[int, Timestamp, str, JsonValue]
"""Serial number within the job, time, kind, and text (or data) of a message."""


class JobStatus(enum.StrEnum):
    """The status of an opcode or a job; the values are the wire format."""

    QUEUED = "queued"
    WAITING = "waiting"
    CANCELING = "canceling"
    RUNNING = "running"
    CANCELED = "canceled"
    SUCCESS = "success"
    ERROR = "error"


class JobEvent(enum.Enum):
    """An event that changes the status of an opcode."""

    PICKED = "started by the scheduler"
    LOCKED = "locks acquired"
    CANCEL = "cancel requested"
    STOPPED = "stopped after a cancel request"
    FINISHED = "succeeded"
    FAILED = "failed"
    SKIPPED = "an earlier opcode failed"
    RESTARTED = "the master daemon restarted"


TRANSITIONS: Mapping[tuple[JobStatus, JobEvent], JobStatus] = {
    (JobStatus.QUEUED, JobEvent.PICKED): JobStatus.WAITING,
    (JobStatus.QUEUED, JobEvent.CANCEL): JobStatus.CANCELED,
    (JobStatus.QUEUED, JobEvent.FAILED): JobStatus.ERROR,
    (JobStatus.QUEUED, JobEvent.SKIPPED): JobStatus.ERROR,
    (JobStatus.WAITING, JobEvent.LOCKED): JobStatus.RUNNING,
    (JobStatus.WAITING, JobEvent.CANCEL): JobStatus.CANCELING,
    (JobStatus.WAITING, JobEvent.FAILED): JobStatus.ERROR,
    # The opcode has changed nothing yet, so that it can start again.
    (JobStatus.WAITING, JobEvent.RESTARTED): JobStatus.QUEUED,
    (JobStatus.CANCELING, JobEvent.STOPPED): JobStatus.CANCELED,
    (JobStatus.CANCELING, JobEvent.FINISHED): JobStatus.SUCCESS,
    (JobStatus.CANCELING, JobEvent.FAILED): JobStatus.ERROR,
    (JobStatus.CANCELING, JobEvent.RESTARTED): JobStatus.CANCELED,
    (JobStatus.RUNNING, JobEvent.FINISHED): JobStatus.SUCCESS,
    (JobStatus.RUNNING, JobEvent.FAILED): JobStatus.ERROR,
    (JobStatus.RUNNING, JobEvent.STOPPED): JobStatus.CANCELED,
    (JobStatus.RUNNING, JobEvent.RESTARTED): JobStatus.ERROR,
}
FINAL = frozenset(JobStatus) - {before for before, _ in TRANSITIONS}
_PENDING = frozenset({JobStatus.QUEUED, JobStatus.WAITING})

_LATER_OPCODE_EVENTS: Mapping[JobStatus, JobEvent] = {
    JobStatus.CANCELED: JobEvent.CANCEL,
    JobStatus.ERROR: JobEvent.SKIPPED,
}
"""The event for the later opcodes of a job when one of them has ended with this status."""


class InvalidTransition(Exception):
    """An event that the status of the job does not allow."""


class QueuedOpcode(Record, forbid_unknown_fields=False):
    """One opcode of a job, with its status, result and log."""

    input: OpcodeInput
    status: JobStatus = JobStatus.QUEUED
    result: JsonValue = None
    log: tuple[LogEntry, ...] = ()
    priority: int = 0
    start_timestamp: Timestamp | None = None
    exec_timestamp: Timestamp | None = None
    end_timestamp: Timestamp | None = None

    @property
    def opcode(self) -> Opcode:
        """The opcode to run.

        :raises Invalid: the opcode was stored by another version and is unknown to this one.
        """
        return self.input.opcode

    @property
    def summary(self) -> str:
        """The opcode in one line, for lists and messages."""
        try:
            return self.input.opcode.summary
        # A job that another version has stored stays in lists.
        except Invalid:
            named = msgspec.json.decode(self.input.raw).get("OP_ID", "unknown")
            return str(named).removeprefix("OP_")

    def after(self, event: JobEvent, at: Timestamp, result: object = None) -> QueuedOpcode:
        """Return this opcode after ``event``.

        :raises InvalidTransition: the status does not allow the event.
        """
        status = TRANSITIONS.get((self.status, event))
        if status is None:
            raise InvalidTransition(
                f"event not allowed in opcode status {self.status.value}: {event.value}"
            )
        if status is JobStatus.WAITING:
            return replace(self, status=status, start_timestamp=at)
        if status is JobStatus.RUNNING:
            return replace(self, status=status, exec_timestamp=at)
        if status in FINAL:
            # Nothing needs the secrets any more.
            ended = self.input.without_secrets()
            return replace(self, status=status, result=result, end_timestamp=at, input=ended)
        if status is JobStatus.QUEUED:
            return replace(self, status=status, start_timestamp=None)
        return replace(self, status=status)


class Job(Record, forbid_unknown_fields=False):
    """A job as it is stored and shown."""

    id: int
    ops: tuple[QueuedOpcode, ...]
    received_timestamp: Timestamp | None = None
    start_timestamp: Timestamp | None = None
    end_timestamp: Timestamp | None = None

    @property
    def status(self) -> JobStatus:
        """The status of the job, derived from the statuses of its opcodes."""
        status = JobStatus.QUEUED
        for op in self.ops:
            match op.status:
                case JobStatus.CANCELING | JobStatus.CANCELED | JobStatus.ERROR:
                    return op.status
                case JobStatus.WAITING | JobStatus.RUNNING:
                    status = op.status
        if all(op.status is JobStatus.SUCCESS for op in self.ops):
            return JobStatus.SUCCESS
        return status

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self.current is None

    @property
    def current(self) -> int | None:
        """The index of the opcode that runs or comes next; None if the job has ended."""
        for index, op in enumerate(self.ops):
            if op.status not in FINAL:
                return index
        return None

    @property
    def priority(self) -> int:
        """The priority of the opcodes that have not ended; lower numbers start first."""
        return min((op.priority for op in self.ops if op.status not in FINAL), default=0)

    @property
    def summary(self) -> tuple[str, ...]:
        """The opcodes, each in one line."""
        return tuple(op.summary for op in self.ops)

    @property
    def log_serial(self) -> int:
        """The serial number of the last message; 0 if there are none."""
        return max((op.log[-1][0] for op in self.ops if op.log), default=0)

    def log_after(self, serial: int | None) -> list[LogEntry]:
        """Return the messages with a serial number above ``serial``; all messages for None."""
        return [entry for op in self.ops for entry in op.log if entry[0] > (serial or 0)]

    def after(self, event: JobEvent, now: float, result: object = None) -> Job:
        """Return this job after ``event`` happened to its current opcode.

        If that opcode ends without success, the later opcodes end with it.

        :raises InvalidTransition: the status does not allow the event, or the job has ended.
        """
        index = self.current
        if index is None:
            raise InvalidTransition(
                f"event not allowed because job {self.id} has ended: {event.value}"
            )
        at = stamp(now)
        moved = self.ops[index].after(event, at, result)
        rest = self.ops[index + 1 :]
        if rest and (follows := _LATER_OPCODE_EVENTS.get(moved.status)):
            why = _skipped_result(index, moved) if follows is JobEvent.SKIPPED else None
            rest = tuple(op.after(follows, at, why) for op in rest)
        ops = (*self.ops[:index], moved, *rest)
        started, ended = self.start_timestamp, None
        if event is JobEvent.PICKED:
            started = started or at
        elif moved.status is JobStatus.QUEUED and index == 0:
            started = None
        if ops[-1].status in FINAL:
            ended = at
        return replace(self, ops=ops, start_timestamp=started, end_timestamp=ended)

    @property
    def has_pending_opcodes(self) -> bool:
        """Whether an opcode of the job still waits to start or waits for locks."""
        return any(op.status in _PENDING for op in self.ops)

    def with_priority(self, priority: int) -> Job:
        """Return this job with another priority for the opcodes that do not run yet."""
        return replace(
            self,
            ops=tuple(
                replace(op, priority=priority) if op.status in _PENDING else op for op in self.ops
            ),
        )

    def with_message(self, index: int, now: float, kind: str, message: object) -> Job:
        """Return this job with one message added to the log of an opcode."""
        entry = (self.log_serial + 1, stamp(now), kind, message)
        return self._with_log(index, (*self.ops[index].log, entry))

    def with_log_entry(self, index: int, entry: LogEntry) -> Job:
        """Return this job with a message that was stored separately; ignore one that it has."""
        log = self.ops[index].log
        # The files of a checkpoint may be newer than the commits that are replayed on them.
        if log and log[-1][0] >= entry[0]:
            return self
        return self._with_log(index, (*log, entry))

    def with_logs_of(self, other: Job) -> Job:
        """Return this job with the messages of ``other``, another state of the same job."""
        return replace(
            self,
            ops=tuple(
                op if op.log is its.log else replace(op, log=its.log)
                for op, its in zip(self.ops, other.ops, strict=True)
            ),
        )

    def without_logs(self) -> Job:
        """Return this job without messages; the journal stores them separately."""
        if not any(op.log for op in self.ops):
            return self
        return replace(self, ops=tuple(replace(op, log=()) for op in self.ops))

    def _with_log(self, index: int, log: tuple[LogEntry, ...]) -> Job:
        op = replace(self.ops[index], log=log)
        return replace(self, ops=(*self.ops[:index], op, *self.ops[index + 1 :]))


def stamp(now: float) -> Timestamp:
    """Return seconds since the epoch as whole seconds and microseconds."""
    return divmod(round(now * 1_000_000), 1_000_000)


def as_json(value: object) -> Any:
    """Return ``value`` as a JSON round trip returns it: tuples become lists, text valid UTF-8.

    :raises TypeError: the value cannot be represented in JSON.
    """
    if isinstance(value, str):
        # The output of programs may contain bytes that are not UTF-8 (surrogate escapes).
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    try:
        return msgspec.json.decode(_encoder.encode(value))
    except (ValueError, NotImplementedError) as e:
        raise TypeError(f"cannot be represented in JSON: {e}") from e


def encode(job: Job) -> bytes:
    """Return the job as JSON, the content of its queue file."""
    return _encoder.encode(job)


def decode(raw: bytes | msgspec.Raw) -> Job:
    """Return the job in the JSON text ``raw``.

    :raises Invalid: the text is not a job.
    """
    try:
        return _decoder.decode(raw)
    except UNREADABLE as e:
        raise Invalid(f"not a job: {e}") from None


def job_not_found(job_id: int) -> JobLost:
    """Return the error for a job that does not exist."""
    return JobLost(f"Job {job_id} not found")


def _skipped_result(index: int, failed: QueuedOpcode) -> list[object]:
    return to_wire(Failed(f"not started because opcode {index + 1}, {failed.summary}, failed"))


def _encode_input(value: object) -> msgspec.Raw:
    if isinstance(value, OpcodeInput):
        return msgspec.Raw(value.raw)
    raise NotImplementedError(f"results and messages must be JSON, not {type(value).__name__}")


def _decode_input(kind: type, value: object) -> Any:
    if kind is not OpcodeInput or not isinstance(value, dict):
        raise ValueError("an opcode must be an object")
    return OpcodeInput(_encoder.encode(value))


_encoder = msgspec.json.Encoder(enc_hook=_encode_input)
_decoder = msgspec.json.Decoder(Job, dec_hook=_decode_input)
