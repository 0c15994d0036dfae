# SPDX-License-Identifier: BSD-2-Clause
"""The commands that list objects and their fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from ganeti.cli import output
from ganeti.cli.command import Arguments, Command, Positional
from ganeti.cli.options import TEXT, Option, choice
from ganeti.cli.session import FAILURE, UNKNOWN_FIELD, ExitTool, Session

JSON = "json"
"""A value of the output option that selects the format instead of columns."""

NO_HEADERS = Option(("--no-headers",), "no_headers", "Do not print the line of column titles.")
SEPARATOR = Option(
    ("--separator",), "separator", "Separate columns by this text, and do not align them.", TEXT
)
OUTPUT = Option(
    ("-o", "--output"),
    "output",
    "The columns, by the names that list-fields shows; with a leading +, in addition to the"
    " default columns. The word json prints JSON objects instead of a table.",
    TEXT,
    many=True,
    metavar="FIELDS|json",
)
UNITS = Option(
    ("--units",),
    "units",
    "The unit of sizes: h for human-readable, or m, g, t for MiB, GiB, TiB.",
    choice("hmgt"),
)
VERBOSE = Option(("-v", "--verbose"), "verbose", "Show in words why a value is missing.")
FILTER = Option(("-F", "--filter"), "filter", "Always treat the argument as a filter.")
FORM = Option(
    ("-o", "--output"), "output", "The word json prints JSON instead of YAML.", choice((JSON,))
)


ROMAN = Option(("--roman",), "roman", "Show whole numbers as Roman numerals.")


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What to list: a kind of object, its default columns, and how to format some fields.

    ``chosen`` turns the arguments into a filter and further columns.
    """

    what: str
    columns: tuple[str, ...]
    key: str = "name"
    numbers: bool = False
    shows: Mapping[str, output.Show] = {}
    chosen: Callable[[Arguments], tuple[Any, Sequence[str]]] | None = None


def lists(
    listed: Listing,
    *,
    doc: str,
    words: str = "",
    units: bool = False,
    options: Sequence[Option] = (),
    own_defaults: bool = False,
) -> tuple[Command, Command]:
    """Return the commands ``list`` and ``list-fields`` for a kind of object.

    ``words`` is the kind of the arguments of ``list``; empty if it takes none.
    """
    usual = (NO_HEADERS, SEPARATOR, OUTPUT, VERBOSE, *((UNITS,) if units else ()))
    return (
        Command(
            name="list",
            doc=doc,
            words=(Positional("names", words, 0, None),) if words else (),
            options=(*usual, *((FILTER,) if words else ()), *options),
            run=partial(show_list, listed),
            own_defaults=own_defaults,
        ),
        Command(
            name="list-fields",
            doc="List the fields that lists can show and filters can use.",
            words=(Positional("names", "field", 0, None),),
            options=(NO_HEADERS, SEPARATOR, FORM),
            run=partial(show_fields, listed),
        ),
    )


def show_list(listed: Listing, session: Session, arguments: Arguments) -> int:
    """Show objects as a table, or as JSON."""
    from ganeti.luxi.methods import Query

    fields, as_json = columns(arguments.get("output", ()), listed.columns)
    wanted = _build_filter(listed, arguments)
    if listed.chosen is not None:
        narrowed, more = listed.chosen(arguments)
        fields += [name for name in more if name not in fields]
        wanted = ["&", wanted, narrowed] if wanted and narrowed else wanted or narrowed
    answer = session.ask(Query(what=listed.what, fields=tuple(fields), qfilter=wanted))
    return show_answer(session, arguments, answer, as_json=as_json, shows=listed.shows)


def show_answer(
    session: Session,
    arguments: Arguments,
    answer: Mapping[str, Any],
    *,
    as_json: bool = False,
    shows: Mapping[str, output.Show] = {},
) -> int:
    """Show the answer to a query; return the exit code."""
    if as_json:
        session.say(output.as_json(output.objects(answer)))
    else:
        lines = output.listing(
            answer,
            headers=not arguments.get("no_headers"),
            separator=arguments.get("separator"),
            units=arguments.get("units"),
            verbose=bool(arguments.get("verbose")),
            shows=shows,
        )
        for line in lines:
            session.say(line)
    unknown = output.unknown(answer)
    if unknown:
        session.tell(f"Warning: unknown field {', '.join(unknown)}; see list-fields")
        return UNKNOWN_FIELD
    return 0


def columns(given: Sequence[str], usual: Sequence[str]) -> tuple[list[str], bool]:
    """Return the fields that ``given`` texts select, and whether JSON is requested.

    :raises ExitTool: if no field is selected.
    """
    fields = list(usual)
    for text in given:
        if text == JSON:
            continue
        names = [name for name in text.removeprefix("+").split(",") if name]
        fields = fields + names if text.startswith("+") else names
    if not fields:
        raise ExitTool(FAILURE, "-o/--output: give at least one field; see list-fields")
    return fields, JSON in given


def _build_filter(listed: Listing, arguments: Arguments) -> Any:
    names = arguments.get("names", ())
    if not names and not arguments.get("filter"):
        return None
    # Import the filter parser only if there is something to parse.
    from ganeti.query.arguments import build_filter

    forced = bool(arguments.get("filter"))
    return build_filter(names, key=listed.key, forced=forced, numbers=listed.numbers)


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
    from ganeti.luxi.methods import QueryFields

    names = tuple(arguments.get("names", ()))
    answer = session.ask(QueryFields(what=listed.what, fields=names or None))
    if arguments.get("output"):
        session.say(output.as_json(answer["fields"]))
    else:
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
            session.say(line)
    unknown = output.unknown(answer)
    if unknown:
        session.tell(f"Warning: unknown field {', '.join(unknown)}")
    return UNKNOWN_FIELD if unknown else 0


def show_values(session: Session, arguments: Arguments, facts: Any, told: Any) -> int:
    """Show ``facts`` as JSON if that is requested, otherwise ``told``, their text form, as YAML."""
    if arguments.get("output"):
        session.say(output.as_json(facts))
        return 0
    from ganeti.cli.yaml_output import with_roman_numerals, yaml_lines

    shown = with_roman_numerals(told) if arguments.get("roman") else told
    for line in yaml_lines(shown):
        session.say(line)
    return 0


def require_found(
    names: Sequence[str], found: Sequence[Mapping[str, Any]], what: str, tool: str
) -> None:
    """Check that each object that was named is among those found; ``what`` is its kind.

    :raises ExitTool: some are not; ``tool`` lists those that there are.
    """
    from ganeti.query.arguments import is_name

    known = {each["name"] for each in found}
    if missing := [name for name in names if is_name(name) and name not in known]:
        raise ExitTool(FAILURE, f"unknown {what} {', '.join(missing)}; see {tool} list")
