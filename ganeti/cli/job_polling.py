# SPDX-License-Identifier: BSD-2-Clause
"""Jobs as the tools use them: submit, follow the messages, and return the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

from ganeti.cli.command import Document, OpcodeResult
from ganeti.cli.progress_bar import ProgressBar
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.yaml_output import yaml_lines
from ganeti.errors import Failed, GanetiError, JobCanceled, JobLost, from_wire
from ganeti.luxi.methods import PlanJob, QueryJobs, Row, SubmitJob, SubmitManyJobs, WaitForJobChange
from ganeti.model.work_progress import parse_progress
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
    ended: Callable[[Session, Arguments, object], int] | None = None,
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


def follow_submitted_jobs(session: Session, arguments: Arguments, result: OpcodeResult) -> int:
    """Follow the jobs that a job has submitted, from its result; return the exit code."""
    worst = 0
    for outcomes in submitted_results(session, result):
        worst = FAILURE if outcomes is None or False in outcomes else worst
    return worst


def submitted_results(
    session: Session, result: OpcodeResult
) -> Iterator[list[OpcodeResult] | None]:
    """Follow the jobs that a job has submitted, from its result; yield the results of each.

    A job that was rejected or has failed is reported, and None in place of its results.
    """
    for accepted, job in result["jobs"]:
        if not accepted:
            session.print_status(f"Failure: a job was rejected: {job}")
            yield None
            continue
        try:
            outcomes = follow(session, job)
        except GanetiError as e:
            session.print_status(f"Failure: job {job}: {e}")
            yield None
        else:
            yield outcomes


def results_of(
    session: Session, arguments: Arguments, *opcodes: Opcode
) -> list[OpcodeResult] | None:
    """Run a job and return the results of its opcodes; None with ``--submit``.

    :raises GanetiError: the error of the job.
    :raises ExitTool: with ``--plan``, when the plan was shown.
    """
    if arguments.get("plan"):
        explain(session, arguments, [("", opcodes)])
    job = session.ask(SubmitJob(ops=tuple(stamped(session, arguments, each) for each in opcodes)))
    if arguments.get("print_jobid"):
        session.show(f"{job}\n")
    if arguments.get("submit"):
        session.print_status(f"JobID: {job}")
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
    if arguments.get("plan"):
        explain(session, arguments, jobs)
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
            session.print_status(f"{name}: {job}")
            worst = FAILURE
        elif not arguments.get("submit") and not _follow_named_job(session, arguments, name, job):
            worst = FAILURE
    return worst


def _follow_named_job(session: Session, arguments: Arguments, name: str, job: int) -> bool:
    session.show(f"Waiting for job {job} for {name} ...\n")
    try:
        results = follow(session, job)
    except GanetiError as e:
        session.print_status(f"Job {job} for {name} failed: {e}")
        return False
    if arguments.get("dry_run"):
        show_plan(session, results)
    return True


def explain(
    session: Session, arguments: Arguments, jobs: Sequence[tuple[str, Sequence[Opcode]]]
) -> NoReturn:
    """Show what jobs would do, as the master plans it now, and end the tool: nothing was submitted.

    :raises ExitTool: always; with exit code 1 if a job would be refused.
    """
    code = 0
    for name, opcodes in jobs:
        ops = tuple(stamped(session, arguments, opcode) for opcode in opcodes)
        try:
            explained = session.ask(PlanJob(ops=ops))
        except GanetiError as e:
            session.print_status(f"Failure: {name}: {e}" if name else f"Failure: {e}")
            code = FAILURE
            continue
        for each in explained:
            for line in _format_explanation(each):
                session.print_line(line)
    raise ExitTool(code)


def _format_explanation(explained: Document) -> Iterator[str]:
    yield f"{explained['summary']}:"
    yield from (f"  - {step}" for step in explained["steps"])
    locks = ", ".join(f"{lock['name']} ({lock['mode']})" for lock in explained["locks"])
    for title, text in (
        ("locks", locks or "none"),
        ("nodes", ", ".join(explained["nodes"]) or "none"),
        ("cannot be undone", explained["irreversible"] or "nothing"),
    ):
        yield f"  {title}: {text}"


def show_plan(session: Session, results: Sequence[object]) -> None:
    """Show what a job would have done."""
    for result in results:
        if result is None:
            session.print_line("The job would run; its plan has no further details.")
            continue
        for line in yaml_lines(result):
            session.print_line(line)


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
    others: Callable[[Row], None] | None = None,
) -> list[OpcodeResult]:
    """Show the messages of a job as they arrive; return the results of its opcodes.

    On a terminal, messages about progress are a bar. With ``quiet``, no messages are shown.
    ``others`` receives log entries that are not messages.

    :raises GanetiError: the error of the job, or :exc:`JobLost` if it does not exist.
    """
    bar = ProgressBar(session)
    try:
        return _poll(session, job, quiet, others, bar)
    except KeyboardInterrupt:
        raise Failed(
            f"stopped waiting; job {job} continues: use gnt-job watch {job} to follow it, gnt-job"
            f" cancel {job} to cancel it"
        ) from None
    finally:
        bar.erase()


def _poll(
    session: Session,
    job: int,
    quiet: bool,
    others: Callable[[Row], None] | None,
    bar: ProgressBar,
) -> list[OpcodeResult]:
    values: Row | None = None
    serial: int | None = None
    told: set[str] = set()
    while True:
        # After the hint, there is nothing more to say for a while.
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
            # It may have been archived since the last request.
            return _archived_results(session, job)
        if answer is None or answer == "nochange" or (answer[0] == values and not answer[1]):
            status = values[0] if values else ""
            if status in _WAITING and status not in told and not quiet:
                bar.erase()
                session.print_status(_WAITING[status].format(job=job))
            told.add(status)
            continue
        values, entries = answer
        for entry in entries:
            serial = max(serial or 0, entry[0])
            if not quiet:
                _show_entry(session, entry, others, bar)
        assert values is not None
        if values[0] in _FINAL:
            return outcome(job, *values)


def _archived_results(session: Session, job: int) -> list[object]:
    """Return the results of a job that has been archived."""
    row = session.ask(QueryJobs(ids=(job,), fields=_FIELDS))[0]
    if row is None or row[0] not in _FINAL:
        raise JobLost(f"job {job} does not exist; see gnt-job list")
    return outcome(job, *row)


def _show_entry(
    session: Session, entry: Row, others: Callable[[Row], None] | None, bar: ProgressBar
) -> None:
    _, when, kind, message = entry
    progress = parse_progress(message) if kind == "message" else None
    if progress is not None and bar.repaint(progress):
        return
    bar.erase()
    if kind not in ("message", "message-list"):
        if others is not None:
            others(entry)
        return
    for line in message if isinstance(message, list) else [message]:
        session.show(f"{time.ctime(when[0])} {line}\n")


def outcome(
    job: int, status: str, statuses: Sequence[str], results: Sequence[object]
) -> list[object]:
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
