# SPDX-License-Identifier: BSD-2-Clause
"""Code of the ``gnt-job`` commands, which query and change jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ganeti.cli import output
from ganeti.cli.command import Arguments
from ganeti.cli.job_polling import follow
from ganeti.cli.options import MAX_DIGITS, duration, natural
from ganeti.cli.output import Fields
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.value_output import show_values
from ganeti.luxi.methods import (
    ArchiveJob,
    AutoArchiveJobs,
    CancelJobs,
    ChangeJobPriority,
    Query,
    QueryJobs,
    Row,
)

_INFO = (
    "id",
    "status",
    "priority",
    *("received_ts", "start_ts", "end_ts"),
    "ops",
    "opstatus",
    "opresult",
    "oplog",
    "opstart",
)


_INFO_MORE = ("opexec", "opend", "oppriority", "summary")


def info(session: Session, arguments: Arguments) -> int:
    """Show the details of jobs."""
    fields = _INFO + _INFO_MORE
    ids = _parse_job_ids(arguments["jobs"])
    rows = session.ask(QueryJobs(ids=ids, fields=fields))
    jobs: list[dict[str, object]] = []
    missing = []
    for number, row in zip(ids, rows, strict=True):
        if row is None or row[1] is None:
            missing.append(str(number))
        else:
            jobs.append(dict(zip(fields, row, strict=True)))
    show_values(session, arguments, jobs, [_format_job(job) for job in jobs])
    if missing:
        raise ExitTool(FAILURE, f"job {', '.join(missing)} does not exist; see gnt-job list")
    return 0


def _format_moment(split: Sequence[int] | None) -> str | None:
    return output.moment(split) if split else None


def _format_job(job: Fields) -> dict[str, object]:
    return {
        "Job ID": job["id"],
        "Status": job["status"],
        "Priority": job["priority"],
        "Received": _format_moment(job["received_ts"]),
        "Processing start": _format_moment(job["start_ts"]),
        "Processing end": _format_moment(job["end_ts"]),
        "Opcodes": [_format_opcode(job, index) for index in range(len(job["ops"]))],
    }


def _format_opcode(job: Fields, index: int) -> dict[str, object]:
    hidden = ("OP_ID", "reason", "depends", "debug_level", "priority", "dry_run", "comment")
    given = job["ops"][index]
    return {
        "Opcode": given["OP_ID"],
        "Status": job["opstatus"][index],
        "Lock acquire start": _format_moment(job["opstart"][index]),
        "Processing start": _format_moment(job["opexec"][index]),
        "Processing end": _format_moment(job["opend"][index]),
        "Input fields": {
            name: value
            for name, value in given.items()
            if name not in hidden and value not in (None, [], {})
        },
        "Reason": [f"{who}: {why}" for who, why, _ in given.get("reason") or ()],
        "Result": job["opresult"][index],
        "Execution log": [
            f"{output.moment(when)} {said}" for _, when, _, said in job["oplog"][index]
        ],
    }


def _parse_job_ids(words: Sequence[str]) -> tuple[int, ...]:
    found: list[int] = []
    wrong = []
    for word in words:
        try:
            found.append(natural(word))
        except ValueError:
            wrong.append(word)
    if wrong:
        raise ExitTool(
            FAILURE, f"{', '.join(wrong)}: a job ID is a number of at most {MAX_DIGITS} digits"
        )
    return tuple(found)


def cancel(session: Session, arguments: Arguments) -> int:
    """Cancel jobs."""
    kill = True if arguments.get("kill") else None
    if kill and not arguments.get("yes_do_it"):
        raise ExitTool(
            FAILURE, "--kill interrupts a job in the middle of its work; add --yes-do-it to confirm"
        )
    jobs = _select_jobs(session, arguments, "cancel")
    if not jobs:
        return 0
    # At once: a request for each of thousands of jobs would be a commit for each.
    return _report_each(session, session.ask(CancelJobs(job_ids=jobs, kill=kill)))


def change_priority(session: Session, arguments: Arguments) -> int:
    """Change the priority of jobs that have not ended."""
    if "priority" not in arguments:
        raise ExitTool(FAILURE, "no priority given; use --priority low, normal or high")
    priority = arguments["priority"]
    return _apply_to_jobs(
        session,
        _select_jobs(session, arguments, "change the priority of"),
        lambda number: session.ask(ChangeJobPriority(job_id=number, priority=priority)),
    )


def _apply_to_jobs(session: Session, jobs: Sequence[int], act: Callable[[int], Row]) -> int:
    return _report_each(session, map(act, jobs))


def _report_each(session: Session, rows: Iterable[Row]) -> int:
    worst = 0
    for done, text in rows:
        if done:
            session.print_line(text)
        else:
            session.print_status(text)
            worst = FAILURE
    return worst


def _select_jobs(session: Session, arguments: Arguments, verb: str) -> tuple[int, ...]:
    named, statuses = arguments.get("jobs", []), arguments.get("statuses")
    if bool(named) == bool(statuses):
        raise ExitTool(
            FAILURE, "name jobs by their IDs, or select them with --pending or a similar option"
        )
    if named:
        return _parse_job_ids(named)
    wanted = ["|", *(["==", "status", each] for each in statuses)]
    answer = session.ask(Query(what="job", fields=("id", "status", "summary"), qfilter=wanted))
    found = output.objects(answer)
    if found and not arguments.get("force"):
        for line in output.listing(answer):
            session.print_line(line)
        session.confirm(f"{verb.capitalize()} these {len(found)} jobs?", "-f/--force")
    return tuple(job["id"] for job in found)


def archive(session: Session, arguments: Arguments) -> int:
    """Move finished jobs to the archive."""
    worst = 0
    for number in _parse_job_ids(arguments["jobs"]):
        if not session.ask(ArchiveJob(job_id=number)):
            session.print_status(
                f"job {number} was not archived; it does not exist or has not finished"
            )
            worst = FAILURE
    return worst


def autoarchive(session: Session, arguments: Arguments) -> int:
    """Move jobs to the archive that finished long ago."""
    age = arguments["age"]
    try:
        seconds = -1 if age == "all" else duration(age)
    except ValueError as e:
        raise ExitTool(FAILURE, f"{e}, or all") from None
    archived, left = session.ask(AutoArchiveJobs(age=seconds))
    session.print_line(f"Archived {archived} jobs, {left} unchecked left")
    return 0


def wait(session: Session, arguments: Arguments) -> int:
    """Wait until a job has finished, without showing its messages."""
    return _follow_job(session, arguments)


def watch(session: Session, arguments: Arguments) -> int:
    """Show the messages of a job until it has finished."""
    (number,) = _parse_job_ids([arguments["job"]])
    session.print_line(f"Output from job {number} follows")
    session.print_line("-" * 21)
    return _follow_job(session, arguments)


def _follow_job(session: Session, arguments: Arguments) -> int:
    (number,) = _parse_job_ids([arguments["job"]])
    follow(session, number, quiet=arguments.command.name == "wait")
    return 0
