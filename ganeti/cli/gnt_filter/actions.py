# SPDX-License-Identifier: BSD-2-Clause
"""Code of the ``gnt-filter`` commands, none of which submits a job."""

from __future__ import annotations

from ganeti.cli.command import Arguments
from ganeti.cli.gnt_filter.rule_fields import FIELDS, format_action
from ganeti.cli.job_polling import reason_trail
from ganeti.cli.output import Fields, as_json, timestamp
from ganeti.cli.session import Session
from ganeti.cli.value_output import show_values
from ganeti.luxi.methods import DeleteFilter, QueryFilters, ReplaceFilter
from ganeti.model.filters import CONTINUE


def put(session: Session, arguments: Arguments) -> int:
    """Add or replace a filter, and print its UUID."""
    asked = ReplaceFilter(
        uuid=arguments.get("uuid"),
        priority=arguments.get("priority", 0),
        predicates=arguments.get("predicates", []),
        action=arguments.get("action", CONTINUE),
        reason=reason_trail(session, arguments),
    )
    session.print_line(session.ask(asked))
    return 0


def delete(session: Session, arguments: Arguments) -> int:
    """Remove a filter."""
    session.ask(DeleteFilter(uuid=arguments["uuid"]))
    return 0


def info(session: Session, arguments: Arguments) -> int:
    """Show the details of filters."""
    uuids = tuple(arguments.get("names", ()))
    rows = session.ask(QueryFilters(uuids=uuids or None, fields=FIELDS))
    rules = [dict(zip(FIELDS, row, strict=True)) for row in rows]
    return show_values(session, arguments, rules, [_format_filter(rule) for rule in rules])


def _format_filter(rule: Fields) -> dict[str, object]:
    return {
        "UUID": rule["uuid"],
        "Watermark": rule["watermark"],
        "Priority": rule["priority"],
        "Action": format_action(rule["action"]),
        "Predicates": [{name: as_json(written, 0)} for name, written in rule["predicates"]],
        "Reason trail": [
            {f"{timestamp(when // 10**9)} {who}": why} for who, why, when in rule["reason_trail"]
        ],
    }
