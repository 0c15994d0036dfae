# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-job``: what was asked of the cluster, how far it is, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ganeti.cli import output
from ganeti.cli.command import FORCE, Arguments, Command, CommandGroup, tool
from ganeti.cli.listing import FORM, Listing, lists, show_facts
from ganeti.cli.options import PRIORITY, Option
from ganeti.cli.program import run_tool
from ganeti.cli.session import FAILURE, ExitTool, Session

_PENDING = ("canceling", "queued", "waiting")
_ENDED = ("canceled", "error", "success")


def _status(flag: str, statuses: Sequence[str], doc: str) -> Option:
    return Option((flag,), "statuses", doc, sets=tuple(statuses))


_QUEUED = _status("--queued", ("queued",), "Only jobs that wait for their turn.")
_WAITING = _status("--waiting", ("waiting",), "Only jobs that wait for locks.")
_NOT_BEGUN = _status("--pending", _PENDING, "Only jobs that have not begun.")


def _chosen(arguments: Arguments) -> tuple[Any, Sequence[str]]:
    statuses = arguments.get("statuses", ())
    wanted: list[Any] = [["|", *(["==", "status", each] for each in statuses)]] if statuses else []
    if not arguments.get("archived"):
        return (wanted[0] if wanted else None), ()
    wanted.append(["?", "archived"])
    return ["&", *wanted], ("archived",)


def _moments(value: Any) -> str:
    return ",".join(map(output.moment, value))


_MOMENTS = ("received_ts", "start_ts", "end_ts")
JOBS = Listing(
    what="job",
    columns=("id", "status", "summary"),
    key="id",
    numbers=True,
    shows={
        **dict.fromkeys(_MOMENTS, output.moment),
        **dict.fromkeys(("opstart", "opexec", "opend"), _moments),
    },
    chosen=_chosen,
)

_INFO = ("id", "status", "priority", *_MOMENTS, "ops", "opstatus", "opresult", "oplog", "opstart")
_INFO_MORE = ("opexec", "opend", "oppriority", "summary")


def info(session: Session, arguments: Arguments) -> int:
    """Show everything about jobs."""
    from ganeti.luxi.methods import QueryJobs

    fields = _INFO + _INFO_MORE
    ids = _numbers(arguments["jobs"])
    rows = session.ask(QueryJobs(ids=ids, fields=fields))
    jobs: list[dict[str, Any]] = []
    missing = []
    for number, row in zip(ids, rows, strict=True):
        if row is None or row[1] is None:
            missing.append(str(number))
        else:
            jobs.append(dict(zip(fields, row, strict=True)))
    show_facts(session, arguments, jobs, [_told(job) for job in jobs])
    if missing:
        raise ExitTool(FAILURE, f"there is no job {', '.join(missing)}; see gnt-job list")
    return 0


def _moment(split: Any) -> str | None:
    return output.moment(split) if split else None


def _told(job: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Job ID": job["id"],
        "Status": job["status"],
        "Priority": job["priority"],
        "Received": _moment(job["received_ts"]),
        "Processing start": _moment(job["start_ts"]),
        "Processing end": _moment(job["end_ts"]),
        "Opcodes": [_told_opcode(job, index) for index in range(len(job["ops"]))],
    }


def _told_opcode(job: Mapping[str, Any], index: int) -> dict[str, Any]:
    hidden = ("OP_ID", "reason", "depends", "debug_level", "priority", "dry_run", "comment")
    given = job["ops"][index]
    return {
        "Opcode": given["OP_ID"],
        "Status": job["opstatus"][index],
        "Lock acquire start": _moment(job["opstart"][index]),
        "Processing start": _moment(job["opexec"][index]),
        "Processing end": _moment(job["opend"][index]),
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


def _numbers(words: Sequence[str]) -> tuple[int, ...]:
    wrong = [word for word in words if not (word.isascii() and word.isdigit())]
    if wrong:
        raise ExitTool(FAILURE, f"{', '.join(wrong)}: a job is named by its number")
    return tuple(map(int, words))


def cancel(session: Session, arguments: Arguments) -> int:
    """Cancel jobs."""
    from ganeti.luxi.methods import CancelJob

    kill = True if arguments.get("kill") else None
    if kill and not arguments.get("yes_do_it"):
        raise ExitTool(FAILURE, "--kill ends a job in the middle of its work; add --yes-do-it")
    return _on_each(
        session,
        _selected(session, arguments, "cancel"),
        lambda number: session.ask(CancelJob(job_id=number, kill=kill)),
    )


def change_priority(session: Session, arguments: Arguments) -> int:
    """Change the priority of jobs that have not ended."""
    from ganeti.luxi.methods import ChangeJobPriority

    if "priority" not in arguments:
        raise ExitTool(FAILURE, "say how urgent: --priority low, normal or high")
    priority = arguments["priority"]
    return _on_each(
        session,
        _selected(session, arguments, "change the priority of"),
        lambda number: session.ask(ChangeJobPriority(job_id=number, priority=priority)),
    )


def _on_each(session: Session, jobs: Sequence[int], act: Any) -> int:
    worst = 0
    for number in jobs:
        done, text = act(number)
        if done:
            session.say(text)
        else:
            session.tell(text)
            worst = FAILURE
    return worst


def _selected(session: Session, arguments: Arguments, verb: str) -> tuple[int, ...]:
    named, statuses = arguments.get("jobs", []), arguments.get("statuses")
    if bool(named) == bool(statuses):
        raise ExitTool(
            FAILURE, "name jobs by their numbers, or choose some by --pending and the like"
        )
    if named:
        return _numbers(named)
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
    """Put ended jobs into the archive."""
    from ganeti.luxi.methods import ArchiveJob

    worst = 0
    for number in _numbers(arguments["jobs"]):
        if not session.ask(ArchiveJob(job_id=number)):
            session.tell(f"job {number} was not archived: there is none, or it has not ended")
            worst = FAILURE
    return worst


def autoarchive(session: Session, arguments: Arguments) -> int:
    """Put jobs into the archive that ended long ago."""
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
    """Wait until a job has ended; say nothing but how."""
    return _watch(session, arguments)


def watch(session: Session, arguments: Arguments) -> int:
    """Show the messages of a job until it has ended."""
    (number,) = _numbers([arguments["job"]])
    session.say(f"Output from job {number} follows")
    session.say("-" * 21)
    return _watch(session, arguments)


def _watch(session: Session, arguments: Arguments) -> int:
    from ganeti.cli.job_polling import follow

    (number,) = _numbers([arguments["job"]])
    follow(session, number, quiet=arguments.command.name == "wait")
    return 0


_JOBS = CommandGroup("jobs", "job-id", 1, None)
_ANY_JOBS = CommandGroup("jobs", "job-id", 0, None)
_ONE_JOB = CommandGroup("job", "job-id")

GNT_JOB = tool(
    "gnt-job",
    "Shows the jobs of the cluster, and cancels or archives them.",
    lists(
        JOBS,
        doc="List the jobs that are not in the archive.",
        words="job-id",
        options=(
            _status("--error", ("error",), "Only jobs that failed."),
            _status("--finished", _ENDED, "Only jobs that have ended."),
            _NOT_BEGUN,
            _status("--running", ("running",), "Only jobs that are being carried out."),
            Option(("--archived",), "archived", "Show whether jobs are in the archive."),
        ),
    ),
    Command(
        name="info",
        aliases=("show",),
        doc="Show everything about jobs.",
        words=(_JOBS,),
        options=(FORM,),
        run=info,
    ),
    Command(
        name="cancel",
        doc="Cancel jobs; one that runs stops where it can undo what it did.",
        words=(_ANY_JOBS,),
        options=(
            FORCE,
            _NOT_BEGUN,
            _QUEUED,
            _WAITING,
            Option(("--kill",), "kill", "End the job even in the middle of its work."),
            Option(("--yes-do-it", "--ya-rly"), "yes_do_it", "Really do so."),
        ),
        run=cancel,
    ),
    Command(
        name="change-priority",
        doc="Change the priority of jobs that have not ended.",
        words=(_ANY_JOBS,),
        options=(
            FORCE,
            _NOT_BEGUN,
            _QUEUED,
            _WAITING,
            Option(("--priority",), "priority", "How urgent they are.", PRIORITY),
        ),
        run=change_priority,
    ),
    Command(name="archive", doc="Put ended jobs into the archive.", words=(_JOBS,), run=archive),
    Command(
        name="autoarchive",
        doc="Put jobs into the archive that ended longer ago than AGE, such as 1d, 2w, or all.",
        words=(CommandGroup("age", "age"),),
        run=autoarchive,
    ),
    Command(name="wait", doc="Wait until a job has ended.", words=(_ONE_JOB,), run=wait),
    Command(
        name="watch",
        doc="Show the messages of a job as they come, until it has ended.",
        words=(_ONE_JOB,),
        run=watch,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_JOB)


if __name__ == "__main__":
    main()
