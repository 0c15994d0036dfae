# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-filter``: the job filters, which decide which jobs may run and how many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganeti.cli.command import Command, Positional, tool
from ganeti.cli.gnt_filter.rule_fields import FIELDS, format_action, parse_action
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import FORM, Listing, lists
from ganeti.cli.options import INT, JSON, Option, OptionType
from ganeti.cli.program import run_tool

if TYPE_CHECKING:
    from ganeti.cli.gnt_filter import actions
else:
    actions = LazyModule("ganeti.cli.gnt_filter.actions")

_RULE = (
    Option(
        ("--action",),
        "action",
        "What to do with jobs that match: ACCEPT, PAUSE, REJECT, CONTINUE (the default), or"
        " 'RATE_LIMIT n'.",
        OptionType("filteraction", "ACTION", parse_action),
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
        Listing(what="filter", columns=FIELDS, key="uuid", shows={"action": format_action}),
        doc="List the filters in the order in which they are applied.",
        words="filter-uuid",
    ),
    Command(
        name="info",
        doc="Show the details of filters.",
        words=(Positional("names", "filter-uuid", 0, None),),
        options=(FORM,),
        run=actions.info,
    ),
    Command(name="add", doc="Add a filter, and print its UUID.", options=_RULE, run=actions.put),
    Command(
        name="replace",
        doc="Replace all of the filter with this UUID, or add it if it does not exist.",
        words=_ONE,
        options=_RULE,
        run=actions.put,
    ),
    Command(name="delete", doc="Remove a filter.", words=_ONE, run=actions.delete),
)


def main() -> None:
    """Run the tool."""
    run_tool(GNT_FILTER)


if __name__ == "__main__":
    main()
