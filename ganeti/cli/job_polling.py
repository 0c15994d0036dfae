# SPDX-License-Identifier: BSD-2-Clause
"""Jobs as the tools use them: submit, follow the messages, and return the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ganeti.cli.session import FAILURE, Session
from ganeti.errors import Failed, GanetiError, JobCanceled, JobLost, from_wire
from ganeti.luxi.methods import QueryJobs, SubmitJob, SubmitManyJobs, WaitForJobChange
from ganeti.schema.records import replace

if TYPE_CHECKING:
    from ganeti.cli.command import Arguments
    from ganeti.opcodes.opcode import Opcode

_FINAL = frozenset({"success", "error", "canceled"})
_FIELDS = ("status", "opstatus", "opresult")
_WAITING = {
    "queued": "Job {job} is queued, perhaps held by a job filter (gnt-filter list);"
    " Ctrl-C leaves it in the queue",
    "waiting": "Job {job} waits for answers of nodes or for locks (gnt-debug locks)",
}
"""Hints, each shown once when a job has not changed for :data:`TIMEOUT` seconds."""

TIMEOUT = 5.0
"""How long to wait for a change before the hint is shown, in seconds."""

MAX_LENGTH = 60.0


def carry_out(
    session: Session,
    arguments: Arguments,
    opcode: Opcode,
    *,
    ended: Callable[[Session, Arguments, Any], int] | None = None,
) -> int:
    """Submit a job and follow it; return the exit code, from ``ended`` if it is given.

    :raises GanetiError: the error of the job.
    """
    results = results_of(session, arguments, opcode)
    if results is None:
        return 0
    if arguments.get("dry_run"):
        show_plan(session, results)
        return 0
    if ended is not None:
        return ended(session, arguments, results[0])
    return 0


def follow_submitted_jobs(session: Session, arguments: Arguments, result: Any) -> int:
    """Follow the jobs that a job has submitted, from its result; return the exit code."""
    worst = 0
    for accepted, job in result["jobs"]:
        if not accepted:
            session.tell(f"Failure: a job was rejected: {job}")
            worst = FAILURE
            continue
        try:
            outcomes = follow(session, job)
        except GanetiError as e:
            session.tell(f"Failure: job {job}: {e}")
            worst = FAILURE
        else:
            worst = FAILURE if False in outcomes else worst
    return worst


def results_of(session: Session, arguments: Arguments, *opcodes: Opcode) -> list[Any] | None:
    """Run a job and return the results of its opcodes; None with ``--submit``.

    :raises GanetiError: the error of the job.
    """
    job = session.ask(SubmitJob(ops=tuple(stamped(session, arguments, each) for each in opcodes)))
    if arguments.get("print_jobid"):
        session.show(f"{job}\n")
    if arguments.get("submit"):
        session.tell(f"JobID: {job}")
        return None
    return follow(session, job)


def submit_and_follow_all(
    session: Session,
    arguments: Arguments,
    jobs: Sequence[tuple[str, Sequence[Opcode]]],
    *,
    one_by_one: bool = False,
    goes_on: bool = False,
) -> int:
    """Submit a job for each name and wait for all of them; return the exit code.

    With ``one_by_one``, each job is submitted when the one before has ended.

    :raises GanetiError: the only job failed, unless the caller ``goes_on``: then its error is
        reported like that of one job of several.
    """
    if len(jobs) == 1 and not goes_on:
        results = results_of(session, arguments, *jobs[0][1])
        if arguments.get("dry_run") and results is not None:
            show_plan(session, results)
        return 0
    asked = tuple(
        tuple(stamped(session, arguments, opcode) for opcode in opcodes) for _, opcodes in jobs
    )
    requests = [(job,) for job in asked] if one_by_one else [asked]
    answers = [answer for each in requests for answer in session.ask(SubmitManyJobs(jobs=each))]
    submitted = [(name, *answer) for (name, _), answer in zip(jobs, answers, strict=True)]
    if arguments.get("print_jobid") or arguments.get("submit"):
        for _, accepted, job in submitted:
            if accepted:
                session.show(f"{job}\n")
    worst = 0
    for name, accepted, job in submitted:
        if not accepted:
            session.tell(f"{name}: {job}")
            worst = FAILURE
        elif not arguments.get("submit") and not _follow_named_job(session, arguments, name, job):
            worst = FAILURE
    return worst


def _follow_named_job(session: Session, arguments: Arguments, name: str, job: int) -> bool:
    session.show(f"Waiting for job {job} for {name} ...\n")
    try:
        results = follow(session, job)
    except GanetiError as e:
        session.tell(f"Job {job} for {name} failed: {e}")
        return False
    if arguments.get("dry_run"):
        show_plan(session, results)
    return True


def show_plan(session: Session, results: Sequence[Any]) -> None:
    """Show what a job would have done."""
    from ganeti.cli.yaml_output import yaml_lines

    for result in results:
        if result is None:
            session.say("The job would run; its plan has no further details.")
            continue
        for line in yaml_lines(result):
            session.say(line)


def stamped(session: Session, arguments: Arguments, opcode: Opcode) -> Opcode:
    """Return the opcode with the values of the job options and the reason trail."""
    return replace(
        opcode,
        dry_run=True if arguments.get("dry_run") else opcode.dry_run,
        priority=arguments.get("priority", opcode.priority),
        reason=reason_trail(session, arguments),
    )


def reason_trail(session: Session, arguments: Arguments) -> tuple[tuple[str, str, int], ...]:
    """Return the reason trail: the user's reason, if any, and the command; times in nanoseconds."""
    now = int(session.clock() * 1e9)
    trail: list[tuple[str, str, int]] = []
    if arguments.get("reason"):
        trail.append(("gnt:user", arguments["reason"], now))
    trail.append(("gnt:client", f"{arguments.tool} {arguments.command.name}", now))
    return tuple(trail)


def follow(
    session: Session,
    job: int,
    *,
    quiet: bool = False,
    others: Callable[[Any], None] | None = None,
) -> list[Any]:
    """Show the messages of a job as they arrive; return the results of its opcodes.

    With ``quiet``, no messages are shown. ``others`` receives log entries that are not messages.

    :raises GanetiError: the error of the job, or :exc:`JobLost` if it does not exist.
    """
    try:
        return _poll(session, job, quiet, others)
    except KeyboardInterrupt:
        raise Failed(
            f"stopped waiting; job {job} continues: use gnt-job watch {job} to follow it, gnt-job"
            f" cancel {job} to cancel it"
        ) from None


def _poll(
    session: Session, job: int, quiet: bool, others: Callable[[Any], None] | None
) -> list[Any]:
    values: list[Any] | None = None
    serial: int | None = None
    told: set[str] = set()
    while True:
        patience = MAX_LENGTH if values and values[0] in told else TIMEOUT
        try:
            answer = session.ask(
                WaitForJobChange(
                    job_id=job,
                    fields=_FIELDS,
                    prev_job_info=values,
                    prev_log_serial=serial,
                    timeout=patience,
                )
            )
        except JobLost:
            return _archived_results(session, job)
        if answer in (None, "nochange") or (answer[0] == values and not answer[1]):
            status = values[0] if values else ""
            if status in _WAITING and status not in told and not quiet:
                session.tell(_WAITING[status].format(job=job))
            told.add(status)
            continue
        values, entries = answer
        for entry in entries:
            serial = max(serial or 0, entry[0])
            if not quiet:
                _show_entry(session, entry, others)
        assert values is not None
        if values[0] in _FINAL:
            return outcome(job, *values)


def _archived_results(session: Session, job: int) -> list[Any]:
    """Return the results of a job that has been archived."""
    row = session.ask(QueryJobs(ids=(job,), fields=_FIELDS))[0]
    if row is None or row[0] not in _FINAL:
        raise JobLost(f"job {job} does not exist; see gnt-job list")
    return outcome(job, *row)


def _show_entry(
    session: Session, entry: Sequence[Any], others: Callable[[Any], None] | None
) -> None:
    _, when, kind, message = entry
    if kind not in ("message", "message-list"):
        if others is not None:
            others(entry)
        return
    for line in message if isinstance(message, list) else [message]:
        session.show(f"{time.ctime(when[0])} {line}\n")


def outcome(job: int, status: str, statuses: Sequence[str], results: Sequence[Any]) -> list[Any]:
    """Return the results of the opcodes of a finished job.

    :raises GanetiError: the error of the opcode that failed.
    """
    if status == "success":
        return list(results)
    if status == "canceled":
        raise JobCanceled(f"job {job} was canceled")
    for state, result in zip(statuses, results, strict=True):
        if state == "error":
            raise from_wire(result)
    raise Failed(f"job {job} failed without an error message; see the log of the master daemon")
