# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-job``: list, follow, cancel and archive jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ganeti.cli import output
from ganeti.cli.command import FORCE, Arguments, Command, Positional, tool
from ganeti.cli.listing import FORM, Listing, lists, show_values
from ganeti.cli.options import PRIORITY, Option
from ganeti.cli.program import run_tool
from ganeti.cli.session import FAILURE, ExitTool, Session

_PENDING = ("canceling", "queued", "waiting")
_ENDED = ("canceled", "error", "success")


def _status_option(flag: str, statuses: Sequence[str], doc: str) -> Option:
    return Option((flag,), "statuses", doc, sets=tuple(statuses))


_QUEUED = _status_option("--queued", ("queued",), "Only jobs that are queued.")
_WAITING = _status_option("--waiting", ("waiting",), "Only jobs that wait for locks.")
_PENDING_OPTION = _status_option("--pending", _PENDING, "Only jobs that have not started.")


def _build_filter(arguments: Arguments) -> tuple[Any, Sequence[str]]:
    statuses = arguments.get("statuses", ())
    wanted: list[Any] = [["|", *(["==", "status", each] for each in statuses)]] if statuses else []
    if not arguments.get("archived"):
        return (wanted[0] if wanted else None), ()
    wanted.append(["?", "archived"])
    return ["&", *wanted], ("archived",)


def _format_moments(value: Any) -> str:
    return ",".join(map(output.moment, value))


_TIMESTAMPS = ("received_ts", "start_ts", "end_ts")
JOBS = Listing(
    what="job",
    columns=("id", "status", "summary"),
    key="id",
    numbers=True,
    shows={
        **dict.fromkeys(_TIMESTAMPS, output.moment),
        **dict.fromkeys(("opstart", "opexec", "opend"), _format_moments),
    },
    chosen=_build_filter,
)

_INFO = (
    "id",
    "status",
    "priority",
    *_TIMESTAMPS,
    "ops",
    "opstatus",
    "opresult",
    "oplog",
    "opstart",
)
_INFO_MORE = ("opexec", "opend", "oppriority", "summary")


def info(session: Session, arguments: Arguments) -> int:
    """Show the details of jobs."""
    from ganeti.luxi.methods import QueryJobs

    fields = _INFO + _INFO_MORE
    ids = _parse_job_ids(arguments["jobs"])
    rows = session.ask(QueryJobs(ids=ids, fields=fields))
    jobs: list[dict[str, Any]] = []
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


def _format_moment(split: Any) -> str | None:
    return output.moment(split) if split else None


def _format_job(job: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Job ID": job["id"],
        "Status": job["status"],
        "Priority": job["priority"],
        "Received": _format_moment(job["received_ts"]),
        "Processing start": _format_moment(job["start_ts"]),
        "Processing end": _format_moment(job["end_ts"]),
        "Opcodes": [_format_opcode(job, index) for index in range(len(job["ops"]))],
    }


def _format_opcode(job: Mapping[str, Any], index: int) -> dict[str, Any]:
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
    wrong = [word for word in words if not (word.isascii() and word.isdigit())]
    if wrong:
        raise ExitTool(FAILURE, f"{', '.join(wrong)}: a job ID is a number")
    return tuple(map(int, words))


def cancel(session: Session, arguments: Arguments) -> int:
    """Cancel jobs."""
    from ganeti.luxi.methods import CancelJob

    kill = True if arguments.get("kill") else None
    if kill and not arguments.get("yes_do_it"):
        raise ExitTool(
            FAILURE, "--kill interrupts a job in the middle of its work; add --yes-do-it to confirm"
        )
    return _apply_to_jobs(
        session,
        _select_jobs(session, arguments, "cancel"),
        lambda number: session.ask(CancelJob(job_id=number, kill=kill)),
    )


def change_priority(session: Session, arguments: Arguments) -> int:
    """Change the priority of jobs that have not ended."""
    from ganeti.luxi.methods import ChangeJobPriority

    if "priority" not in arguments:
        raise ExitTool(FAILURE, "no priority given; use --priority low, normal or high")
    priority = arguments["priority"]
    return _apply_to_jobs(
        session,
        _select_jobs(session, arguments, "change the priority of"),
        lambda number: session.ask(ChangeJobPriority(job_id=number, priority=priority)),
    )


def _apply_to_jobs(session: Session, jobs: Sequence[int], act: Any) -> int:
    worst = 0
    for number in jobs:
        done, text = act(number)
        if done:
            session.say(text)
        else:
            session.tell(text)
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
    from ganeti.luxi.methods import Query

    wanted = ["|", *(["==", "status", each] for each in statuses)]
    answer = session.ask(Query(what="job", fields=("id", "status", "summary"), qfilter=wanted))
    found = output.objects(answer)
    if found and not arguments.get("force"):
        for line in output.listing(answer):
            session.say(line)
        session.confirm(f"{verb.capitalize()} these {len(found)} jobs?", "-f/--force")
    return tuple(job["id"] for job in found)


def archive(session: Session, arguments: Arguments) -> int:
    """Move finished jobs to the archive."""
    from ganeti.luxi.methods import ArchiveJob

    worst = 0
    for number in _parse_job_ids(arguments["jobs"]):
        if not session.ask(ArchiveJob(job_id=number)):
            session.tell(f"job {number} was not archived; it does not exist or has not finished")
            worst = FAILURE
    return worst


def autoarchive(session: Session, arguments: Arguments) -> int:
    """Move jobs to the archive that finished long ago."""
    from ganeti.cli.options import duration
    from ganeti.luxi.methods import AutoArchiveJobs

    age = arguments["age"]
    try:
        seconds = -1 if age == "all" else duration(age)
    except ValueError as e:
        raise ExitTool(FAILURE, f"{e}, or all") from None
    archived, left = session.ask(AutoArchiveJobs(age=seconds))
    session.say(f"Archived {archived} jobs, {left} unchecked left")
    return 0


def wait(session: Session, arguments: Arguments) -> int:
    """Wait until a job has finished, without showing its messages."""
    return _follow_job(session, arguments)


def watch(session: Session, arguments: Arguments) -> int:
    """Show the messages of a job until it has finished."""
    (number,) = _parse_job_ids([arguments["job"]])
    session.say(f"Output from job {number} follows")
    session.say("-" * 21)
    return _follow_job(session, arguments)


def _follow_job(session: Session, arguments: Arguments) -> int:
    from ganeti.cli.job_polling import follow

    (number,) = _parse_job_ids([arguments["job"]])
    follow(session, number, quiet=arguments.command.name == "wait")
    return 0


_JOBS = Positional("jobs", "job-id", 1, None)
_ANY_JOBS = Positional("jobs", "job-id", 0, None)
_ONE_JOB = Positional("job", "job-id")

GNT_JOB = tool(
    "gnt-job",
    "List, follow, cancel and archive jobs.",
    lists(
        JOBS,
        doc="List the jobs that are not archived.",
        words="job-id",
        options=(
            _status_option("--error", ("error",), "Only jobs that failed."),
            _status_option("--finished", _ENDED, "Only jobs that have finished."),
            _PENDING_OPTION,
            _status_option("--running", ("running",), "Only jobs that are running."),
            Option(("--archived",), "archived", "Show whether jobs are archived."),
        ),
    ),
    Command(
        name="info",
        aliases=("show",),
        doc="Show the details of jobs.",
        words=(_JOBS,),
        options=(FORM,),
        run=info,
    ),
    Command(
        name="cancel",
        doc="Cancel jobs; a running job stops where it can undo its changes.",
        words=(_ANY_JOBS,),
        options=(
            FORCE,
            _PENDING_OPTION,
            _QUEUED,
            _WAITING,
            Option(("--kill",), "kill", "Interrupt the job even in the middle of its work."),
            Option(("--yes-do-it", "--ya-rly"), "yes_do_it", "Confirm that this should be done."),
        ),
        run=cancel,
    ),
    Command(
        name="change-priority",
        doc="Change the priority of jobs that have not finished.",
        words=(_ANY_JOBS,),
        options=(
            FORCE,
            _PENDING_OPTION,
            _QUEUED,
            _WAITING,
            Option(("--priority",), "priority", "The new priority.", PRIORITY),
        ),
        run=change_priority,
    ),
    Command(name="archive", doc="Move finished jobs to the archive.", words=(_JOBS,), run=archive),
    Command(
        name="autoarchive",
        doc="Move jobs to the archive that finished longer ago than AGE, such as 1d, 2w, or all.",
        words=(Positional("age", "age"),),
        run=autoarchive,
    ),
    Command(name="wait", doc="Wait until a job has finished.", words=(_ONE_JOB,), run=wait),
    Command(
        name="watch",
        doc="Show the messages of a job as they arrive, until it has finished.",
        words=(_ONE_JOB,),
        run=watch,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_JOB)


if __name__ == "__main__":
    main()
