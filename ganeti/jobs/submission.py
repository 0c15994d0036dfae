# SPDX-License-Identifier: BSD-2-Clause
"""Creation of jobs from submitted opcodes: ids, resolved dependencies, reason trail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from ganeti.errors import Invalid, Problem, QueueFull
from ganeti.jobs.job import FINAL, Job, JobStatus, QueuedOpcode, stamp
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import replace

EarlierJobs: TypeAlias = Sequence[int | None]
"""The ids of earlier jobs of the same request, oldest first; None for refused ones."""

QUEUE_FULL = "too many jobs have not ended; submit again when some of them have"


def new_job(job_id: int, opcodes: Sequence[Opcode], now: float, earlier: EarlierJobs = ()) -> Job:
    """Return the job for ``opcodes``.

    :raises Invalid: there are no opcodes, or a dependency is invalid.
    """
    if not opcodes:
        raise Invalid("a job needs at least one opcode")
    ops = []
    for index, opcode in enumerate(opcodes):
        # Existing tools parse this form of a trail entry; the time is in nanoseconds.
        name = opcode.op_id.lower().removeprefix("op_")
        entry = (f"gnt:opcode:{name}", f"job={job_id};index={index}", int(now * 1_000_000_000))
        changes: dict[str, Any] = {"reason": (*(opcode.reason or ()), entry)}
        if opcode.depends:
            changes["depends"] = _resolve_dependencies(job_id, opcode, index, earlier)
        filled = replace(opcode, **changes)
        ops.append(QueuedOpcode(input=OpcodeInput.from_opcode(filled), priority=opcode.priority))
    return Job(id=job_id, ops=tuple(ops), received_timestamp=stamp(now))


class NewJobs:
    """The jobs of one request, made one after the other, and the answer to each part of it."""

    def __init__(self, now: float, room: int) -> None:
        """Accept at most ``room`` jobs."""
        self.jobs: list[Job] = []
        self.answers: list[tuple[bool, int | str]] = []
        self._now = now
        self._room = room
        self._accepted: list[int | None] = []

    def add_job(self, job_id: int, opcodes: Sequence[Opcode]) -> None:
        """Make the next job, or record why it is refused."""
        try:
            if len(self.jobs) >= self._room:
                raise QueueFull(QUEUE_FULL)
            self.jobs.append(new_job(job_id, opcodes, self._now, self._accepted))
        except (Invalid, QueueFull) as e:
            self._accepted.append(None)
            self.answers.append((False, str(e)))
        else:
            self._accepted.append(job_id)
            self.answers.append((True, job_id))


def _resolve_dependencies(
    job_id: int, opcode: Opcode, index: int, earlier: EarlierJobs
) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Return the dependencies of an opcode with relative (negative) job ids resolved."""
    found, problems = [], []
    for number, (other, statuses) in enumerate(opcode.depends or ()):
        where = f"{index}.depends[{number}]"
        wrong = [status for status in statuses if status not in FINAL]
        if wrong:
            final = ", ".join(sorted(status.value for status in JobStatus if status in FINAL))
            problems.append(Problem(where, f"{', '.join(wrong)} is not one of {final}"))
        try:
            named = int(other)
        except ValueError:
            problems.append(Problem(where, f"{other!r} is not a job id"))
            continue
        try:
            found.append((_resolve_job_id(named, job_id, earlier), statuses))
        except Invalid as e:
            problems.append(Problem(where, str(e)))
    if problems:
        raise Invalid(problems)
    return tuple(found)


def _resolve_job_id(named: int, job_id: int, earlier: EarlierJobs) -> int:
    """Return the job id for a dependency; negative ids count back within the request.

    :raises Invalid: the job does not exist. An id that counts back beyond the request is refused
        rather than resolved to the last job of another request, which can belong to another client.
    """
    if named >= 0:
        if not 0 < named < job_id:
            raise Invalid(f"job {named} does not exist, or was not submitted before this one")
        return named
    if -named > len(earlier):
        raise Invalid(
            f"relative job id {named} counts back beyond this request (earlier jobs in it:"
            f" {len(earlier)}); name jobs of other requests by their id"
        )
    meant = earlier[named]
    if meant is None:
        raise Invalid(f"the job that relative id {named} refers to was refused")
    return meant
