# SPDX-License-Identifier: BSD-2-Clause
"""Run the commands that list objects and their fields, and show values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ganeti.cli import output
from ganeti.cli.command import Arguments
from ganeti.cli.lazy import LazyModule
from ganeti.cli.output import FORMATS, JSON, TABLE
from ganeti.cli.output_formats import format_values
from ganeti.cli.session import FAILURE, UNKNOWN_FIELD, ExitTool, Session
from ganeti.cli.value_output import show_formatted
from ganeti.luxi.methods import Query, QueryFields

if TYPE_CHECKING:
    from ganeti.cli import list_watch
    from ganeti.cli.listing import Listing
    from ganeti.query import list_arguments as query_arguments
else:
    list_watch = LazyModule("ganeti.cli.list_watch")
    query_arguments = LazyModule("ganeti.query.list_arguments")


def show_list(listed: Listing, session: Session, arguments: Arguments) -> int:
    """Show objects as a table, or in a format for programs."""
    fields, form = columns(arguments.get("output", ()), listed.columns)
    wanted = _build_filter(listed, arguments)
    if listed.chosen is not None:
        narrowed, more = listed.chosen(arguments)
        fields += [name for name in more if name not in fields]
        wanted = ["&", wanted, narrowed] if wanted and narrowed else wanted or narrowed
    query = Query(what=listed.what, fields=tuple(fields), qfilter=wanted)
    if arguments.get("watch"):
        if form not in (TABLE, JSON):
            raise ExitTool(FAILURE, f"--watch prints tables and json only, not {form}")
        return list_watch.watch_list(
            session, arguments, query, key=listed.key, as_json=form == JSON, shows=listed.shows
        )
    answer = session.ask(query)
    return show_answer(session, arguments, answer, form, shows=listed.shows)


def show_answer(
    session: Session,
    arguments: Arguments,
    answer: Mapping[str, object],
    form: str = TABLE,
    *,
    shows: Mapping[str, output.Show] = {},
) -> int:
    """Show the answer to a query; return the exit code."""
    headers = not arguments.get("no_headers")
    if form == TABLE:
        lines = output.listing(
            answer,
            headers=headers,
            separator=arguments.get("separator"),
            units=arguments.get("units"),
            verbose=bool(arguments.get("verbose")),
            shows=shows,
        )
    else:
        fields = output.field_names(answer)
        lines = format_values(output.objects(answer), form, headers=headers, fields=fields)
    for line in lines:
        session.print_line(line)
    unknown = output.unknown(answer)
    if unknown:
        session.print_status(f"Warning: unknown field {', '.join(unknown)}; see list-fields")
        return UNKNOWN_FIELD
    return 0


def columns(given: Sequence[str], usual: Sequence[str]) -> tuple[list[str], str]:
    """Return the fields that ``given`` texts select, and the format.

    :raises ExitTool: if no field is selected.
    """
    fields = list(usual)
    form = TABLE
    for text in given:
        if text in FORMATS:
            form = text
            continue
        names = [name for name in text.removeprefix("+").split(",") if name]
        fields = fields + names if text.startswith("+") else names
    if not fields:
        raise ExitTool(FAILURE, "-o/--output: give at least one field; see list-fields")
    return fields, form


def _build_filter(listed: Listing, arguments: Arguments) -> object:
    names = arguments.get("names", ())
    if not names and not arguments.get("filter"):
        return None
    forced = bool(arguments.get("filter"))
    return query_arguments.build_filter(
        names, key=listed.key, forced=forced, numbers=listed.numbers
    )


_KINDS = {
    "bool": "Boolean",
    "float": "Floating-point number",
    "number": "Number",
    "other": "Custom",
    "text": "Text",
    "timestamp": "Timestamp",
    "unit": "Storage size",
    "unknown": "Unknown",
}


def show_fields(listed: Listing, session: Session, arguments: Arguments) -> int:
    """Show the fields of a kind of object."""
    names = tuple(arguments.get("names", ()))
    answer = session.ask(QueryFields(what=listed.what, fields=names or None))
    if not show_formatted(session, arguments, answer["fields"]):
        lines = output.table(
            ("Name", "Type", "Title", "Description"),
            [
                (each["name"], _KINDS[each["kind"]], each["title"], each["doc"])
                for each in answer["fields"]
            ],
            headers=not arguments.get("no_headers"),
            separator=arguments.get("separator"),
        )
        for line in lines:
            session.print_line(line)
    unknown = output.unknown(answer)
    if unknown:
        session.print_status(f"Warning: unknown field {', '.join(unknown)}")
    return UNKNOWN_FIELD if unknown else 0
