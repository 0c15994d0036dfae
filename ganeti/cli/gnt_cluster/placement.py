# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster balance`` and ``capacity``."""

from __future__ import annotations

from collections.abc import Iterator

from ganeti.cli.command import Arguments, OpcodeResult
from ganeti.cli.declared_options import build_opcode
from ganeti.cli.job_polling import follow_submitted_jobs, results_of, stamped
from ganeti.cli.output import Fields, size, table
from ganeti.cli.session import Session
from ganeti.cli.value_output import show_formatted
from ganeti.luxi.methods import PlanJob


def balance(session: Session, arguments: Arguments) -> int:
    """Show the plan, and submit its jobs if that is confirmed."""
    opcode = build_opcode(arguments)
    (explained,) = session.ask(PlanJob(ops=(stamped(session, arguments, opcode),)))
    plan = explained["preview"]
    for line in format_plan(plan):
        session.print_line(line)
    if arguments.get("dry_run") or not any(group["moves"] for group in plan["groups"]):
        return 0
    if not arguments.get("force"):
        session.confirm("Move these instances?", "-f/--force")
    results = results_of(session, arguments, opcode)
    return 0 if results is None else follow_submitted_jobs(session, arguments, results[0])


def format_plan(plan: OpcodeResult) -> Iterator[str]:
    """Yield the lines of a plan: for each group the moves and the scores."""
    for node in plan["silent"]:
        yield f"Node {node} does not answer; its instances stay there."
    for group in plan["groups"]:
        before, after = group["before"]["score"], group["after"]["score"]
        name = group["name"]
        if not group["moves"]:
            yield f"Group {name}: score {before:.3f}; no move lowers it enough."
            continue
        count = len(group["moves"])
        moves = "1 move lowers" if count == 1 else f"{count} moves lower"
        yield f"Group {name}: {moves} the score from {before:.3f} to {after:.3f}."
        yield from table(
            ("#", "Instance", "From", "To", "Score", "Steps"),
            [_format_move(number, move) for number, move in enumerate(group["moves"], start=1)],
            right=(True, False, False, False, True, False),
        )
        if group["timed_out"]:
            yield "The time limit ended the search; --time-limit gives it more."


def _format_move(number: int, move: Fields) -> list[str]:
    return [
        str(number),
        move["instance"],
        ":".join(move["from"]),
        ":".join(move["to"]),
        f"{move['score']:.3f}",
        ", ".join(f"{kind} to {node}" for kind, node in move["steps"]),
    ]


def capacity(session: Session, arguments: Arguments) -> int:
    """Show how many more instances of each size fit."""
    results = results_of(session, arguments, build_opcode(arguments))
    if not results or show_formatted(session, arguments, results[0]):
        return 0
    for each in results[0]:
        for line in format_capacity(each):
            session.print_line(line)
    return 0


def format_capacity(counted: Fields) -> Iterator[str]:
    """Yield the lines about one size: the total, and for each group what stops the next one."""
    count = counted["count"]
    word = "instance" if count == 1 else "instances"
    yield (
        f"{count} more {word} with {size(counted['memory'])} of memory,"
        f" {counted['vcpus']} virtual processors and {size(counted['disk_space'])} of disk space"
        f" on each node ({counted['disk_template']})"
    )
    for group in counted["groups"]:
        limits = ", ".join(_format_limit(*each) for each in group["limits"].items())
        yield f"  group {group['name']}: {group['count']}; the next one is stopped by: {limits}"


def _format_limit(limit: str, nodes: int) -> str:
    return f"{limit} ({nodes} {'node' if nodes == 1 else 'nodes'})"
