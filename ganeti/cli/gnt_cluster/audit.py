# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster history``: who did what, as the master knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganeti.cli.command import Arguments
from ganeti.cli.listing import show_values
from ganeti.cli.options import FLOAT, TEXT, Option
from ganeti.cli.session import Session

OPTIONS = (
    Option(("--user",), "user", "Only what this user did, or was denied; local for tools.", TEXT),
    Option(("--name",), "name", "Only what is about the object of this name or UUID.", TEXT),
    Option(("--since",), "since", "Only since this time, in seconds since the epoch.", FLOAT),
    Option(("--until",), "until", "Only until this time, in seconds since the epoch.", FLOAT),
    Option(("--denied",), "denied", "Only what was denied."),
)


def is_wanted(arguments: Arguments) -> bool:
    """Whether the master has to be asked: its files do not say who somebody is."""
    return any(option.name in arguments for option in OPTIONS)


def show(session: Session, arguments: Arguments) -> int:
    """Show who did what, when, from where, by which token and job, oldest first."""
    from ganeti.luxi.methods import QueryHistory

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
        session.say(describe(entry))
    return 0


def describe(entry: Mapping[str, Any]) -> str:
    """Return an entry in a line."""
    from ganeti.cli.output import timestamp

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
