# SPDX-License-Identifier: BSD-2-Clause
"""A job: opcodes that run one after the other, and how far they have come.

The records here have the form of the queue's files, so a file is the encoding of its job.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from ganeti.errors import Failed, Invalid, to_wire
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record, replace

Stamp: TypeAlias = tuple[int, int]
"""A time: seconds and microseconds since the epoch."""

LogEntry: TypeAlias = tuple[int, Stamp, str, Any]
"""Serial number within the job, time, kind and text (or data) of a message."""


class JobStatus(enum.StrEnum):
    """How far an opcode, or a job, has come."""

    QUEUED = "queued"
    WAITING = "waiting"
    CANCELING = "canceling"
    RUNNING = "running"
    CANCELED = "canceled"
    SUCCESS = "success"
    ERROR = "error"


class JobEvent(enum.Enum):
    """What moves an opcode on."""

    PICKED = "it is its turn"
    LOCKED = "it holds its locks"
    CANCEL = "it is to be canceled"
    STOPPED = "it has stopped because it was canceled"
    FINISHED = "it has succeeded"
    FAILED = "it has failed"
    SKIPPED = "an opcode before it has failed"
    RESTARTED = "the master daemon has restarted"


MOVES: Mapping[tuple[JobStatus, JobEvent], JobStatus] = {
    (JobStatus.QUEUED, JobEvent.PICKED): JobStatus.WAITING,
    (JobStatus.QUEUED, JobEvent.CANCEL): JobStatus.CANCELED,
    (JobStatus.QUEUED, JobEvent.FAILED): JobStatus.ERROR,
    (JobStatus.QUEUED, JobEvent.SKIPPED): JobStatus.ERROR,
    (JobStatus.WAITING, JobEvent.LOCKED): JobStatus.RUNNING,
    (JobStatus.WAITING, JobEvent.CANCEL): JobStatus.CANCELING,
    (JobStatus.WAITING, JobEvent.FAILED): JobStatus.ERROR,
    # It has done nothing yet, so it may be picked again.
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
FINAL = frozenset(JobStatus) - {before for before, _ in MOVES}
_NOT_BEGUN = frozenset({JobStatus.QUEUED, JobStatus.WAITING})

_FOLLOWERS: Mapping[JobStatus, JobEvent] = {
    JobStatus.CANCELED: JobEvent.CANCEL,
    JobStatus.ERROR: JobEvent.SKIPPED,
}
"""What happens to the opcodes behind one that has ended so."""


class ImpossibleMove(Exception):
    """A job was to do what its status does not allow."""


class QueuedOpcode(Record, forbid_unknown_fields=False):
    """One opcode of a job, and how far it has come."""

    input: OpcodeInput
    status: JobStatus = JobStatus.QUEUED
    result: Any = None
    log: tuple[LogEntry, ...] = ()
    priority: int = 0
    start_timestamp: Stamp | None = None
    exec_timestamp: Stamp | None = None
    end_timestamp: Stamp | None = None

    @property
    def opcode(self) -> Opcode:
        """What was asked for.

        :raises Invalid: it was stored by another version, and this one does not understand it.
        """
        return self.input.opcode

    @property
    def summary(self) -> str:
        """The opcode in a line."""
        try:
            return self.input.opcode.summary
        except Invalid:
            named = msgspec.json.decode(self.input.raw).get("OP_ID", "unknown")
            return str(named).removeprefix("OP_")

    def after(self, event: JobEvent, at: Stamp, result: Any = None) -> QueuedOpcode:
        """This opcode after ``event``.

        :raises ImpossibleMove: its status does not allow that.
        """
        status = MOVES.get((self.status, event))
        if status is None:
            raise ImpossibleMove(f"an opcode that is {self.status.value}: {event.value}")
        if status is JobStatus.WAITING:
            return replace(self, status=status, start_timestamp=at)
        if status is JobStatus.RUNNING:
            return replace(self, status=status, exec_timestamp=at)
        if status in FINAL:
            ended = self.input.as_stored()
            return replace(self, status=status, result=result, end_timestamp=at, input=ended)
        if status is JobStatus.QUEUED:
            return replace(self, status=status, start_timestamp=None)
        return replace(self, status=status)


class Job(Record, forbid_unknown_fields=False):
    """A job as it is stored and shown; times are seconds and microseconds."""

    id: int
    ops: tuple[QueuedOpcode, ...]
    received_timestamp: Stamp | None = None
    start_timestamp: Stamp | None = None
    end_timestamp: Stamp | None = None

    @property
    def status(self) -> JobStatus:
        """The status of the job, which is that of the opcode that decides it."""
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
        """Whether it has ended."""
        return self.current is None

    @property
    def current(self) -> int | None:
        """The index of the opcode that runs or comes next; None if all have ended."""
        for index, op in enumerate(self.ops):
            if op.status not in FINAL:
                return index
        return None

    @property
    def priority(self) -> int:
        """The priority of what is still to be done, lower numbers first."""
        return min((op.priority for op in self.ops if op.status not in FINAL), default=0)

    @property
    def summary(self) -> tuple[str, ...]:
        """Each opcode in a line."""
        return tuple(op.summary for op in self.ops)

    @property
    def log_serial(self) -> int:
        """The serial number of the last message; 0 if there is none."""
        return max((op.log[-1][0] for op in self.ops if op.log), default=0)

    def log_after(self, serial: int | None) -> list[LogEntry]:
        """The messages with a larger serial number than ``serial``, or all."""
        return [entry for op in self.ops for entry in op.log if entry[0] > (serial or 0)]

    def after(self, event: JobEvent, now: float, result: Any = None) -> Job:
        """This job after ``event`` happened to its current opcode.

        When that opcode ends without success, those behind it end with it.

        :raises ImpossibleMove: the status does not allow that, or the job has ended.
        """
        index = self.current
        if index is None:
            raise ImpossibleMove(f"job {self.id} has ended: {event.value}")
        at = stamp(now)
        moved = self.ops[index].after(event, at, result)
        rest = self.ops[index + 1 :]
        if rest and (follows := _FOLLOWERS.get(moved.status)):
            why = _skipped(index, moved) if follows is JobEvent.SKIPPED else None
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
    def has_not_begun(self) -> bool:
        """Whether some of it still waits for its turn or its locks."""
        return any(op.status in _NOT_BEGUN for op in self.ops)

    def with_priority(self, priority: int) -> Job:
        """This job with another priority for everything that has not begun to run."""
        return replace(
            self,
            ops=tuple(
                replace(op, priority=priority) if op.status in _NOT_BEGUN else op for op in self.ops
            ),
        )

    def saying(self, index: int, now: float, kind: str, message: Any) -> Job:
        """This job with one message more in the log of an opcode."""
        entry = (self.log_serial + 1, stamp(now), kind, message)
        return self._with_log(index, (*self.ops[index].log, entry))

    def with_entry(self, index: int, entry: LogEntry) -> Job:
        """This job with a message that was stored apart; one that is there already is left."""
        log = self.ops[index].log
        if log and log[-1][0] >= entry[0]:
            return self
        return self._with_log(index, (*log, entry))

    def with_logs_of(self, other: Job) -> Job:
        """This job with the messages of ``other``, which is the same job."""
        return replace(
            self,
            ops=tuple(
                op if op.log is its.log else replace(op, log=its.log)
                for op, its in zip(self.ops, other.ops, strict=True)
            ),
        )

    def without_logs(self) -> Job:
        """This job with no messages, which are stored apart from its moves."""
        if not any(op.log for op in self.ops):
            return self
        return replace(self, ops=tuple(replace(op, log=()) for op in self.ops))

    def _with_log(self, index: int, log: tuple[LogEntry, ...]) -> Job:
        op = replace(self.ops[index], log=log)
        return replace(self, ops=(*self.ops[:index], op, *self.ops[index + 1 :]))


def stamp(now: float) -> Stamp:
    """Seconds since the epoch as whole seconds and microseconds."""
    return divmod(round(now * 1_000_000), 1_000_000)


def as_json(value: Any) -> Any:
    """``value`` as it comes back from disk: tuples are lists, and text is text everywhere.

    :raises TypeError: it is nothing that JSON knows.
    """
    if isinstance(value, str):
        # What programs say may have bytes in it that are no text.
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    try:
        return msgspec.json.decode(_encoder.encode(value))
    except (ValueError, NotImplementedError) as e:
        raise TypeError(f"not JSON: {e}") from e


def encode(job: Job) -> bytes:
    """The job as JSON, which is the content of its file."""
    return _encoder.encode(job)


def decode(raw: bytes | msgspec.Raw) -> Job:
    """The job in the JSON text ``raw``.

    :raises Invalid: it is not a job.
    """
    try:
        return _decoder.decode(raw)
    except UNREADABLE as e:
        raise Invalid(f"not a job: {e}") from None


def _skipped(index: int, failed: QueuedOpcode) -> list[Any]:
    return to_wire(Failed(f"not started because opcode {index + 1}, {failed.summary}, failed"))


def _written(value: Any) -> msgspec.Raw:
    if isinstance(value, OpcodeInput):
        return msgspec.Raw(value.raw)
    raise NotImplementedError(f"results and messages are JSON, not {type(value).__name__}")


def _read(kind: type, value: Any) -> Any:
    if kind is not OpcodeInput or not isinstance(value, dict):
        raise ValueError("an opcode must be an object")
    return OpcodeInput(_encoder.encode(value))


_encoder = msgspec.json.Encoder(enc_hook=_written)
_decoder = msgspec.json.Decoder(Job, dec_hook=_read)
