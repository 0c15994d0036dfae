# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-job``: list, follow, cancel and archive jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ganeti.cli import output
from ganeti.cli.command import FORCE, Arguments, Command, Positional, tool
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import FORM, Listing, lists
from ganeti.cli.options import PRIORITY, Option
from ganeti.cli.program import run_tool

if TYPE_CHECKING:
    from ganeti.cli.gnt_job import actions
else:
    actions = LazyModule("ganeti.cli.gnt_job.actions")

_PENDING = ("canceling", "queued", "waiting")
_ENDED = ("canceled", "error", "success")


def _status_option(flag: str, statuses: Sequence[str], doc: str) -> Option:
    return Option((flag,), "statuses", doc, sets=tuple(statuses))


_QUEUED = _status_option("--queued", ("queued",), "Only jobs that are queued.")
_WAITING = _status_option("--waiting", ("waiting",), "Only jobs that wait for locks.")
_PENDING_OPTION = _status_option("--pending", _PENDING, "Only jobs that have not started.")


def _build_filter(arguments: Arguments) -> tuple[object, Sequence[str]]:
    statuses = arguments.get("statuses", ())
    wanted: list[object] = (
        [["|", *(["==", "status", each] for each in statuses)]] if statuses else []
    )
    if not arguments.get("archived"):
        return (wanted[0] if wanted else None), ()
    wanted.append(["?", "archived"])
    return ["&", *wanted], ("archived",)


def _format_moments(value: Sequence[Sequence[int]]) -> str:
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


_JOBS = Positional("jobs", "job-id", 1, None)
_ANY_JOBS = Positional("jobs", "job-id", 0, None)
_ONE_JOB = Positional("job", "job-id")

GNT_JOB = tool(
    "gnt-job",
    "List, follow, cancel and archive jobs.",
    lists(
        JOBS,
        doc="List the jobs that are not archived.",
        watch=True,
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
        run=actions.info,
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
        run=actions.cancel,
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
        run=actions.change_priority,
    ),
    Command(
        name="archive",
        doc="Move finished jobs to the archive.",
        words=(_JOBS,),
        run=actions.archive,
    ),
    Command(
        name="autoarchive",
        doc="Move jobs to the archive that finished longer ago than AGE, such as 1d, 2w, or all.",
        words=(Positional("age", "age"),),
        run=actions.autoarchive,
    ),
    Command(name="wait", doc="Wait until a job has finished.", words=(_ONE_JOB,), run=actions.wait),
    Command(
        name="watch",
        doc="Show the messages of a job as they arrive, until it has finished.",
        words=(_ONE_JOB,),
        run=actions.watch,
    ),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_JOB)


if __name__ == "__main__":
    main()
