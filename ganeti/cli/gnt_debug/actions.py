# SPDX-License-Identifier: BSD-2-Clause
"""Code of the ``gnt-debug`` commands that do more than submit one opcode."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ganeti.cli.command import Arguments
from ganeti.cli.declared_options import build_opcode
from ganeti.cli.input_files import read_bytes
from ganeti.cli.job_polling import follow, results_of, show_plan, stamped, submit_and_follow_all
from ganeti.cli.listing import Listing
from ganeti.cli.listing_output import show_list
from ganeti.cli.options import number, split_list
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.errors import GanetiError, Invalid, JobCanceled
from ganeti.luxi.methods import CancelJob, SubmitJob, SubmitManyJobs
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import decode_opcodes
from ganeti.opcodes.test import Delay
from ganeti.schema.size_units import mebibytes

MAX_OPCODES = 1_000_000
"""The maximum number of opcodes that one call submits, as all are kept in memory."""


def _format_owners(value: Sequence[object] | None) -> str:
    return ",".join(map(str, value)) if value else "-"


def _format_pending(value: Sequence[tuple[str, Sequence[object]]]) -> str:
    return ";".join(f"{mode}:{','.join(map(str, owners))}" for mode, owners in value) or "-"


LOCKS = Listing(
    what="lock",
    columns=("name", "mode", "owner", "pending"),
    shows={"owner": _format_owners, "pending": _format_pending},
)


def locks(session: Session, arguments: Arguments) -> int:
    """List the locks that are held or waited for, repeatedly with ``--interval``."""
    interval = arguments.get("interval")
    for turn in itertools.count():
        if turn:
            session.sleep(interval)
            session.print_line()
        code = show_list(LOCKS, session, arguments)
        session.show("")
        if not interval or code:
            return code
    raise AssertionError("itertools.count() does not end")


def submit_job(session: Session, arguments: Arguments) -> int:
    """Submit the jobs described in files, and wait for them."""
    repeat, again = arguments.get("op_repeat", 1), arguments.get("job_repeat", 1)
    read = [(path, _read_opcodes(path)) for path in arguments["files"]]
    if sum(len(opcodes) for _, opcodes in read) * repeat * again > MAX_OPCODES:
        raise ExitTool(
            FAILURE,
            f"too many opcodes (the maximum is {MAX_OPCODES}); reduce --op-repeat or --job-repeat",
        )
    jobs = [(path, opcodes * repeat) for path, opcodes in read for _ in range(again)]
    began = session.clock()
    code = submit_and_follow_all(session, arguments, jobs, one_by_one=bool(arguments.get("each")))
    if arguments.get("timing_stats"):
        seconds = session.clock() - began
        count = sum(len(opcodes) for _, opcodes in jobs)
        session.print_line(
            f"{len(jobs)} jobs, {count} opcodes: {seconds:.3f} s from submission to end"
        )
        if seconds > 0:
            session.print_line(f"{len(jobs) / seconds:.1f} jobs/s, {count / seconds:.1f} opcodes/s")
    return code


def _read_opcodes(path: str) -> list[Opcode]:
    """Return the opcodes in a JSON file that has one opcode or a list."""
    text = read_bytes(path).strip()
    try:
        return list(decode_opcodes(text if text.startswith(b"[") else b"[%b]" % text))
    except Invalid as e:
        raise ExitTool(FAILURE, f"{path}: {e}") from None


def test_queue(session: Session, arguments: Arguments) -> int:
    """Test the job queue with jobs that do nothing, fail, repeat and are canceled."""

    def made(*opcodes: Opcode) -> tuple[Opcode, ...]:
        return tuple(stamped(session, arguments, each) for each in opcodes)

    session.print_line("Submitting several jobs at once")
    many = tuple(made(Delay(duration=0.0)) for _ in range(10))
    for accepted, job in session.ask(SubmitManyJobs(jobs=many)):
        if not accepted:
            raise ExitTool(FAILURE, f"a job was rejected: {job}")
        follow(session, job, quiet=True)
    session.print_line("Submitting a job that fails")
    failing = session.ask(SubmitJob(ops=made(Delay(duration=-1.0))))
    try:
        follow(session, failing, quiet=True)
    except GanetiError as e:
        session.print_line(f"  it failed as expected: {e}")
    else:
        raise ExitTool(FAILURE, f"job {failing} succeeded but should have failed")
    session.print_line("Canceling a job")
    long = session.ask(SubmitJob(ops=made(Delay(duration=60.0))))
    done, text = session.ask(CancelJob(job_id=long))
    session.print_line(f"  {text}")
    try:
        follow(session, long, quiet=True)
    except JobCanceled:
        session.print_line("The job queue works")
        return 0
    except GanetiError as e:
        raise ExitTool(FAILURE, f"job {long} should have been canceled: {e}") from None
    raise ExitTool(FAILURE, f"job {long} should have been canceled but was not ({done})")


def delay_fields(arguments: Arguments) -> dict[str, object]:
    """Return the duration of the delay, and whether it takes locks."""
    try:
        return {
            "duration": number(arguments["seconds"]),
            "no_locks": bool(arguments.get("no_locks")),
        }
    except ValueError as e:
        raise ExitTool(FAILURE, f"{arguments['seconds']}: {e} of seconds") from None


def allocator(session: Session, arguments: Arguments) -> int:
    """Show the input of an instance allocator, or run it and show its answer."""
    results = results_of(session, arguments, build_opcode(arguments))
    if results and arguments.get("dry_run"):
        show_plan(session, results)
    elif results:
        session.print_line(str(results[0]))
    return 0


def allocator_fields(arguments: Arguments) -> dict[str, object]:
    """Return the fields for the instance, or the objects, of an allocator request."""
    mode = arguments.get("mode", "relocate")
    found: dict[str, object] = {"mode": mode, "direction": arguments.get("direction", "in")}
    names = arguments["names"]
    if mode in ("node-evacuate", "change-group"):
        return {**found, "name": names[0], "instances": names}
    found["name"] = names[0]
    if mode in ("allocate", "multi-allocate"):
        found["disks"] = [
            {"size": mebibytes(each), "mode": "rw"}
            for each in split_list(arguments.get("disks", "4096,4096"))
        ]
        found["nics"] = [
            dict(zip(("mac", "ip", "bridge"), each.split("/"), strict=False))
            for each in split_list(arguments.get("nics", "00:11:22:33:44:55"))
        ]
        found["memory"] = arguments.get("memory", 128)
        found["vcpus"] = arguments.get("vcpus", 1)
    return found
