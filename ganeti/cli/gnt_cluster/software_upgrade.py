# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster upgrade``: the jobs of a rolling upgrade, followed until the master is back."""

from __future__ import annotations

from ganeti import __version__
from ganeti.cli.command import Arguments, OpcodeResult
from ganeti.cli.declared_options import build_opcode
from ganeti.cli.event_polling import RETRIES, RETRY_SECONDS, ask_with_retries
from ganeti.cli.job_polling import follow, results_of, show_plan
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.errors import GanetiError
from ganeti.luxi.methods import QueryClusterInfo
from ganeti.luxi.unreachable import NoAnswer


def upgrade(session: Session, arguments: Arguments) -> int:
    """Upgrade all nodes; the exit code is 0 if all of them have the release."""
    if "release" not in arguments:
        raise ExitTool(
            FAILURE,
            "say which release the nodes shall have: --to RELEASE; that of this tool is"
            f" {__version__}",
        )
    results = results_of(session, arguments, build_opcode(arguments))
    if results is None:
        return 0
    if arguments.get("dry_run"):
        show_plan(session, results)
        return 0
    jobs = results[0]["jobs"]
    for accepted, job in jobs:
        if not accepted:
            raise ExitTool(FAILURE, f"a job was rejected: {job}")
        _follow_job(session, job)
    return _wait_for_master(session, arguments["release"]) if jobs else 0


def _follow_job(session: Session, job: int) -> OpcodeResult:
    """Follow a job, also while the master daemon restarts.

    :raises ExitTool: the job failed, and those after it do not run.
    """
    for left in reversed(range(RETRIES)):
        try:
            return follow(session, job)
        except NoAnswer:
            if not left:
                raise
        except GanetiError as e:
            raise ExitTool(FAILURE, f"job {job}: {e}") from None
        session.sleep(RETRY_SECONDS)
    raise AssertionError("the last attempt leaves the loop")


def _wait_for_master(session: Session, release: str) -> int:
    """Wait until the master daemon has the release, too; its upgrade restarts it.

    :raises ExitTool: it keeps the former one.
    """
    for _ in range(RETRIES):
        found = ask_with_retries(session, QueryClusterInfo())["software_version"]
        if found == release:
            session.print_line(f"All nodes that are online have release {release}.")
            return 0
        session.sleep(RETRY_SECONDS)
    raise ExitTool(
        FAILURE,
        f"the master daemon still has release {found}; look at what the command has done on the"
        " master",
    )
