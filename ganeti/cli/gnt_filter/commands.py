# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-filter``: the job filters, which decide which jobs may run and how many at once."""

from __future__ import annotations

from typing import Any

from ganeti.cli.command import Arguments, Command, Positional, tool
from ganeti.cli.listing import FORM, Listing, lists, show_values
from ganeti.cli.options import INT, JSON, Option, OptionType, whole
from ganeti.cli.output import as_json, timestamp
from ganeti.cli.program import run_tool
from ganeti.cli.session import Session
from ganeti.model.filters import ACTIONS, CONTINUE, RATE_LIMIT

_FIELDS = ("uuid", "watermark", "priority", "predicates", "action", "reason_trail")


def action(text: str) -> Any:
    """Parse the action of a filter: a word, or ``RATE_LIMIT n``."""
    if text in ACTIONS:
        return text
    match text.split():
        case [word, number] if word == RATE_LIMIT:
            return [RATE_LIMIT, whole(number)]
    raise ValueError(f"must be one of {', '.join(ACTIONS)}, or '{RATE_LIMIT} n'")


def _format_action(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def put(session: Session, arguments: Arguments) -> int:
    """Add or replace a filter, and print its UUID."""
    from ganeti.cli.job_polling import reason_trail
    from ganeti.luxi.methods import ReplaceFilter

    asked = ReplaceFilter(
        uuid=arguments.get("uuid"),
        priority=arguments.get("priority", 0),
        predicates=arguments.get("predicates", []),
        action=arguments.get("action", CONTINUE),
        reason=reason_trail(session, arguments),
    )
    session.say(session.ask(asked))
    return 0


def delete(session: Session, arguments: Arguments) -> int:
    """Remove a filter."""
    from ganeti.luxi.methods import DeleteFilter

    session.ask(DeleteFilter(uuid=arguments["uuid"]))
    return 0


def info(session: Session, arguments: Arguments) -> int:
    """Show the details of filters."""
    from ganeti.luxi.methods import QueryFilters

    uuids = tuple(arguments.get("names", ()))
    rows = session.ask(QueryFilters(uuids=uuids or None, fields=_FIELDS))
    rules = [dict(zip(_FIELDS, row, strict=True)) for row in rows]
    return show_values(session, arguments, rules, [_format_filter(rule) for rule in rules])


def _format_filter(rule: dict[str, Any]) -> dict[str, Any]:
    return {
        "UUID": rule["uuid"],
        "Watermark": rule["watermark"],
        "Priority": rule["priority"],
        "Action": _format_action(rule["action"]),
        "Predicates": [{name: as_json(written, 0)} for name, written in rule["predicates"]],
        "Reason trail": [
            {f"{timestamp(when // 10**9)} {who}": why} for who, why, when in rule["reason_trail"]
        ],
    }


_RULE = (
    Option(
        ("--action",),
        "action",
        "What to do with jobs that match: ACCEPT, PAUSE, REJECT, CONTINUE (the default), or"
        " 'RATE_LIMIT n'.",
        OptionType("filteraction", "ACTION", action),
    ),
    Option(
        ("--predicates",),
        "predicates",
        "The conditions that a job must all meet to match; an empty list matches every job.",
        JSON,
    ),
    Option(
        ("--priority",),
        "priority",
        "The order of the filters: lower numbers are applied first; 0 is the default.",
        INT,
    ),
)
_ONE = (Positional("uuid", "filter-uuid"),)

GNT_FILTER = tool(
    "gnt-filter",
    "Add, show, replace and remove job filters.",
    lists(
        Listing(what="filter", columns=_FIELDS, key="uuid", shows={"action": _format_action}),
        doc="List the filters in the order in which they are applied.",
        words="filter-uuid",
    ),
    Command(
        name="info",
        doc="Show the details of filters.",
        words=(Positional("names", "filter-uuid", 0, None),),
        options=(FORM,),
        run=info,
    ),
    Command(name="add", doc="Add a filter, and print its UUID.", options=_RULE, run=put),
    Command(
        name="replace",
        doc="Replace all of the filter with this UUID, or add it if it does not exist.",
        words=_ONE,
        options=_RULE,
        run=put,
    ),
    Command(name="delete", doc="Remove a filter.", words=_ONE, run=delete),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_FILTER)


if __name__ == "__main__":
    main()
