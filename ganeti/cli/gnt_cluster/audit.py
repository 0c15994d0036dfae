# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster history``: who did what, as the master knows it."""

from __future__ import annotations

from ganeti.cli.command import Arguments
from ganeti.cli.output import Fields, timestamp
from ganeti.cli.session import Session
from ganeti.cli.value_output import show_values
from ganeti.luxi.methods import QueryHistory


def show(session: Session, arguments: Arguments) -> int:
    """Show who did what, when, from where, by which token and job, oldest first."""
    request = QueryHistory(
        name=arguments.get("name"),
        user=arguments.get("user"),
        since=arguments.get("since"),
        until=arguments.get("until"),
        limit=arguments.get("last", 100),
    )
    found = [
        entry
        for entry in reversed(session.ask(request))
        if entry["denied"] or not arguments.get("denied")
    ]
    if arguments.get("output"):
        return show_values(session, arguments, found, [])
    for entry in found:
        session.print_line(describe(entry))
    return 0


def describe(entry: Fields) -> str:
    """Return an entry in a line."""
    words = [timestamp(entry["at"]), entry["user"] or "-"]
    if entry["how"]:
        words.append(f"({entry['how']})")
    if entry["denied"]:
        words.append("was denied")
    if entry["job"] is not None:
        words.append(f"job {entry['job']}")
    words.append(entry["what"])
    if entry["count"] > 1:
        words.append(f"({entry['count']} times)")
    changed = [
        f"{each['kind']} {each.get('name') or each.get('uuid') or ''} {each['action']}"
        for each in entry["changes"]
    ]
    line = " ".join(words) + (f": {', '.join(changed)}" if changed else "")
    # What users and programs have written must not move the cursor of a terminal.
    return "".join(each if each.isprintable() else "?" for each in line)
