# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster failover``, ``rehearse-failure`` and ``survive``."""

from __future__ import annotations

from collections.abc import Iterator

from ganeti.cli.command import Arguments, OpcodeResult
from ganeti.cli.declared_options import build_opcode
from ganeti.cli.job_polling import results_of
from ganeti.cli.output import Fields, table
from ganeti.cli.session import FAILURE, Session
from ganeti.cli.value_output import show_formatted
from ganeti.luxi.methods import QueryFailover


def show_status(session: Session, arguments: Arguments) -> int:
    """Show the settings, and what is known about each node."""
    found = session.ask(QueryFailover())
    if not show_formatted(session, arguments, found):
        for line in format_status(found):
            session.print_line(line)
    return 0


def format_status(found: Fields) -> Iterator[str]:
    """Yield the lines of the status."""
    settings = found["settings"]
    if settings.get("maintenance"):
        yield "The cluster is in maintenance: no node is fenced."
    yield (
        f"Nodes that are fenced without a person's decision: at most {settings.get('max_nodes', 1)}"
        f" within {settings.get('window', 1800)} seconds."
    )
    rows = [[each["name"], *_format_node(each)] for each in found["nodes"]]
    yield from table(("Node", "Guard", "Answered", "Status"), rows)
    if any(each["guard"] == "process" for each in found["nodes"]):
        yield (
            "The guard process is weaker than a device: it needs a kernel that works. Load a driver"
            " of a watchdog device on these nodes, for example softdog."
        )


def _format_node(node: Fields) -> tuple[str, str, str]:
    answered = "-" if node["answered"] is None else f"{node['answered']:.0f} s ago"
    guard = node["guard"] or ("none" if node["needs_lease"] else "-")
    words = []
    if node["maintenance"]:
        words.append("in maintenance")
    if node["fence"] == "fencing":
        words.append(f"is being fenced: {node['reason']}")
    elif node["fence"] == "fenced":
        words.append(f"is fenced, confirmed by {node['method']}: {node['reason']}")
    if node["problem"]:
        words.append(node["problem"])
    return guard, answered, "; ".join(words) or "-"


def rehearse(session: Session, arguments: Arguments) -> int:
    """Show what would happen if nodes failed now."""
    results = results_of(session, arguments, build_opcode(arguments))
    if not results:
        return 0
    if not show_formatted(session, arguments, _name_columns(results[0])):
        for line in format_rehearsal(results[0]):
            session.print_line(line)
    return FAILURE if any(why != NOT_WANTED for _, _, why in results[0]["refusals"]) else 0


_REHEARSAL_COLUMNS = {
    "fences": ("node", "method", "seconds"),
    "placements": ("instance", "from", "to", "seconds"),
    "refusals": ("instance", "node", "reason"),
}


def _name_columns(found: OpcodeResult) -> Fields:
    """Return a rehearsal with objects in place of rows, for programs."""
    return {
        name: [dict(zip(columns, row, strict=True)) for row in found[name]]
        for name, columns in _REHEARSAL_COLUMNS.items()
    }


NOT_WANTED = "its failover policy is not failover"


def format_rehearsal(found: OpcodeResult) -> Iterator[str]:
    """Yield the lines of a rehearsal."""
    for name, how, seconds in found["fences"]:
        if seconds is None:
            yield (
                f"Node {name}: a person has to confirm that it is off: gnt-node confirm-off {name}"
            )
        else:
            yield f"Node {name}: certainly off after about {seconds:.0f} seconds ({how})."
    if found["placements"]:
        rows = [
            [name, source, target, "-" if seconds is None else f"{seconds} s"]
            for name, source, target, seconds in found["placements"]
        ]
        yield from table(("Instance", "From", "To", "After"), rows)
    for name, source, why in found["refusals"]:
        yield f"Instance {name} of {source} does not start elsewhere: {why}."
    if not found["placements"] and not found["refusals"]:
        yield "No instance runs there."


def survive(session: Session, arguments: Arguments) -> int:
    """Show which failures the cluster does not survive."""
    results = results_of(session, arguments, build_opcode(arguments))
    if not results:
        return 0
    found = results[0]
    if not show_formatted(session, arguments, found):
        for line in format_survey(found):
            session.print_line(line)
    return FAILURE if found["single"] or found["unguarded"] else 0


def format_survey(found: OpcodeResult) -> Iterator[str]:
    """Yield the lines of a survey."""
    if not found["instances"]:
        yield "No instance is to fail over; see gnt-instance failover-policy."
        return
    yield from _format_losses(
        found["single"],
        f"each of {found['nodes']} nodes alone",
        f"{len(found['single'])} of {found['nodes']} nodes alone",
    )
    yield from _format_losses(
        found["double"],
        f"each of {found['pairs']} pairs of nodes that are survived alone",
        f"{len(found['double'])} of {found['pairs']} pairs of nodes",
    )
    for name in found["unguarded"]:
        yield (
            f"Node {name} has no guard: after its failure a person has to confirm that it is off."
        )


def _format_losses(losses: OpcodeResult, every: str, some: str) -> Iterator[str]:
    if not losses:
        yield f"Survived: the failure of {every}."
        return
    yield f"Not survived: the failure of {some}."
    for each in losses:
        yield f"  {', '.join(each['failed'])}"
        for instance, why in each["lost"]:
            yield f"    instance {instance}: {why}"
