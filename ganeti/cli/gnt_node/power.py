# SPDX-License-Identifier: BSD-2-Clause
"""Query and switch the power of nodes by their out-of-band helpers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ganeti.cli.command import Arguments, OpcodeResult
from ganeti.cli.job_polling import results_of, show_plan
from ganeti.cli.output import objects, table
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.cli.value_output import show_formatted
from ganeti.luxi.methods import Query
from ganeti.opcodes.node import CommandPower, ModifyNode, PowerCommand
from ganeti.query.list_arguments import build_filter

if TYPE_CHECKING:
    from ganeti.opcodes.opcode import Opcode


def power(session: Session, arguments: Arguments) -> int:
    """Query or switch the power of nodes by their out-of-band helpers."""
    command = PowerCommand(f"power-{arguments['what']}")
    names = arguments.get("names", [])
    if command in (PowerCommand.POWER_OFF, PowerCommand.POWER_CYCLE):
        if not names:
            raise ExitTool(FAILURE, f"power {arguments['what']}: name at least one node")
        if not arguments.get("force"):
            session.confirm(f"Power {arguments['what']} {', '.join(names)}?", "-f/--force")
    ignore_status = bool(arguments.get("ignore_status"))
    first: list[Opcode] = []
    if command is PowerCommand.POWER_OFF and not ignore_status:
        _require_helpers(session, names)
        first = _build_offline_opcodes(names, auto_promote=bool(arguments.get("auto_promote")))
    switch = CommandPower(
        node_names=tuple(names),
        command=command,
        timeout=arguments.get("timeout", 60),
        # A dry run does not mark the nodes offline, so the check for that would fail.
        ignore_status=ignore_status or bool(first and arguments.get("dry_run")),
        power_delay=arguments.get("power_delay", 2.0),
    )
    results = results_of(session, arguments, *first, switch)
    switches = command is not PowerCommand.POWER_STATUS
    return show_power(session, arguments, results and results[-1:], switches=switches)


def _require_helpers(session: Session, names: Sequence[str]) -> None:
    """Check that nodes have an out-of-band helper, before they are marked offline.

    :raises ExitTool: if one has none.
    """
    wanted = build_filter(names)
    nodes = objects(session.ask(Query(what="node", fields=("name", "ndparams"), qfilter=wanted)))
    if without := [node["name"] for node in nodes if not node["ndparams"].get("oob_program")]:
        raise ExitTool(
            FAILURE,
            f"node {', '.join(without)} has no out-of-band helper; set one: gnt-node modify"
            f" --node-parameters oob_program=PATH {without[0]}",
        )


def _build_offline_opcodes(names: Sequence[str], *, auto_promote: bool) -> list[Opcode]:
    """Return the opcodes that mark nodes offline, as required before they are powered off."""
    return [ModifyNode(node_name=name, offline=True, auto_promote=auto_promote) for name in names]


def health(session: Session, arguments: Arguments) -> int:
    """Show the health of nodes as reported by their out-of-band helpers."""
    opcode = CommandPower(
        node_names=tuple(arguments.get("names", [])),
        command=PowerCommand.HEALTH,
        timeout=arguments.get("timeout", 60),
    )
    return show_power(session, arguments, results_of(session, arguments, opcode))


def show_power(
    session: Session,
    arguments: Arguments,
    results: list[OpcodeResult] | None,
    *,
    switches: bool = False,
) -> int:
    """Show the answers of the helpers; return a failure if one of them failed.

    A node without a helper is a failure only if the command ``switches`` the power.
    """
    if not results or not results[0]:
        return 0
    if arguments.get("dry_run"):
        show_plan(session, results)
        return 0
    rows = [[str(name), _format_power(*answer)] for (_, name), answer in results[0]]
    if not show_formatted(
        session, arguments, [{"node": node, "said": said} for node, said in rows]
    ):
        headers = not arguments.get("no_headers")
        separator = arguments.get("separator")
        for line in table(("Node", "Said"), rows, headers=headers, separator=separator):
            session.print_line(line)
    failures = {_NO_DATA, _UNAVAILABLE} if switches else {_NO_DATA}
    return FAILURE if any(status in failures for _, (status, _) in results[0]) else 0


_NO_DATA, _UNAVAILABLE = 2, 3
"""Status of a helper that failed, and of a node without one."""


_MARKS = {_NO_DATA: "(nodata)", _UNAVAILABLE: "(unavail)"}


def _format_power(status: int, said: object) -> str:
    """Return the answer of a helper as text."""
    if status in _MARKS:
        return _MARKS[status]
    match said:
        case {"powered": powered}:
            return "powered" if powered else "unpowered"
        case list():
            return ", ".join(f"{item}={state}" for item, state in said) or "-"
    return "done"
