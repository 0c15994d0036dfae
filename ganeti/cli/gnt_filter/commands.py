# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-filter``: rules about which jobs may run, how many at once, and which not at all."""

from __future__ import annotations

from typing import Any

from ganeti.cli.command import Arguments, Command, CommandGroup, tool
from ganeti.cli.listing import FORM, Listing, lists, show_facts
from ganeti.cli.options import INT, JSON, Option, OptionType, whole
from ganeti.cli.output import as_json, timestamp
from ganeti.cli.program import run_tool
from ganeti.cli.session import Session
from ganeti.model.filters import ACTIONS, CONTINUE, RATE_LIMIT

_FIELDS = ("uuid", "watermark", "priority", "predicates", "action", "reason_trail")


def action(text: str) -> Any:
    """What a rule does with a job: a word, or ``RATE_LIMIT n``."""
    if text in ACTIONS:
        return text
    match text.split():
        case [word, number] if word == RATE_LIMIT:
            return [RATE_LIMIT, whole(number)]
    raise ValueError(f"must be one of {', '.join(ACTIONS)}, or '{RATE_LIMIT} n'")


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def put(session: Session, arguments: Arguments) -> int:
    """Set a rule, or add one, and print its UUID."""
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
    """Remove a rule."""
    from ganeti.luxi.methods import DeleteFilter

    session.ask(DeleteFilter(uuid=arguments["uuid"]))
    return 0


def info(session: Session, arguments: Arguments) -> int:
    """Tell everything about rules."""
    from ganeti.luxi.methods import QueryFilters

    uuids = tuple(arguments.get("names", ()))
    rows = session.ask(QueryFilters(uuids=uuids or None, fields=_FIELDS))
    rules = [dict(zip(_FIELDS, row, strict=True)) for row in rows]
    return show_facts(session, arguments, rules, [_told(rule) for rule in rules])


def _told(rule: dict[str, Any]) -> dict[str, Any]:
    return {
        "UUID": rule["uuid"],
        "Watermark": rule["watermark"],
        "Priority": rule["priority"],
        "Action": _shown(rule["action"]),
        "Predicates": [{name: as_json(written, 0)} for name, written in rule["predicates"]],
        "Reason trail": [
            {f"{timestamp(when // 10**9)} {who}": why} for who, why, when in rule["reason_trail"]
        ],
    }


_RULE = (
    Option(
        ("--action",),
        "action",
        "What becomes of jobs that match: ACCEPT, PAUSE, REJECT, CONTINUE, which is the default,"
        " or 'RATE_LIMIT n'.",
        OptionType("filteraction", "ACTION", action),
    ),
    Option(
        ("--predicates",),
        "predicates",
        "What all must be true of a job that matches; none match every job.",
        JSON,
    ),
    Option(("--priority",), "priority", "Lower numbers are tried first; 0 is the default.", INT),
)
_ONE = (CommandGroup("uuid", "filter-uuid"),)

GNT_FILTER = tool(
    "gnt-filter",
    "Sets, shows and removes the rules about which jobs may run.",
    lists(
        Listing(what="filter", columns=_FIELDS, key="uuid", shows={"action": _shown}),
        doc="List the rules in the order in which they are tried.",
        words="filter-uuid",
    ),
    Command(
        name="info",
        doc="Tell everything about rules.",
        words=(CommandGroup("names", "filter-uuid", 0, None),),
        options=(FORM,),
        run=info,
    ),
    Command(name="add", doc="Add a rule, and print its UUID.", options=_RULE, run=put),
    Command(
        name="replace",
        doc="Set the rule of a UUID, all of it, or add it if there is none.",
        words=_ONE,
        options=_RULE,
        run=put,
    ),
    Command(name="delete", doc="Remove a rule.", words=_ONE, run=delete),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_FILTER)


if __name__ == "__main__":
    main()
