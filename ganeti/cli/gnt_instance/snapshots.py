# SPDX-License-Identifier: BSD-2-Clause
"""The list of the snapshots of an instance."""

from __future__ import annotations

from ganeti.cli.command import Arguments
from ganeti.cli.output import Fields, table, timestamp
from ganeti.cli.session import Session
from ganeti.cli.value_output import show_formatted
from ganeti.luxi.methods import QueryInstances

_COLUMNS = ("Name", "Created", "Size", "State", "Guest")


def show_snapshots(session: Session, arguments: Arguments) -> int:
    """Show the snapshots of an instance, the oldest first."""
    question = QueryInstances(names=(arguments["instance_name"],), fields=("snapshots",))
    [[found]] = session.ask(question)
    if show_formatted(session, arguments, found):
        return 0
    lines = table(
        _COLUMNS,
        [_cells(each) for each in found],
        headers=not arguments.get("no_headers"),
        separator=arguments.get("separator"),
    )
    for line in lines:
        session.print_line(line)
    return 0


def _cells(snapshot: Fields) -> list[str]:
    sizes = ",".join(f"{disk['size']}M" for disk in snapshot["disks"])
    state = "reverting" if snapshot["reverting"] else snapshot["state"]
    guest = "stopped"
    if snapshot["running"]:
        guest = "frozen" if snapshot["frozen"] else "running"
    if snapshot["memory"]:
        guest = "memory"
    return [snapshot["name"], timestamp(snapshot["ctime"]), sizes, state, guest]
