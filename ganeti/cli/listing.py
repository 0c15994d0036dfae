# SPDX-License-Identifier: BSD-2-Clause
"""The commands that list objects and their fields, declared by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from ganeti.cli import output
from ganeti.cli.command import Arguments, Command, CommandGroup
from ganeti.cli.options import TEXT, Option, choice
from ganeti.cli.session import FAILURE, UNKNOWN_FIELD, ExitTool, Session

JSON = "json"
"""Asked for as output, it is no column but the form."""

NO_HEADERS = Option(("--no-headers",), "no_headers", "Leave out the line of titles.")
SEPARATOR = Option(
    ("--separator",), "separator", "Put this between columns and do not align them.", TEXT
)
OUTPUT = Option(
    ("-o", "--output"),
    "output",
    "The columns, by the names that list-fields shows; with a + in front, in addition to the"
    " default ones. The word json gives objects in JSON instead of a table.",
    TEXT,
    many=True,
    metavar="FIELDS|json",
)
UNITS = Option(
    ("--units",), "units", "Show sizes for people (h), or all in MiB, GiB, TiB.", choice("hmgt")
)
VERBOSE = Option(("-v", "--verbose"), "verbose", "Say in words why a value is missing.")
FILTER = Option(("-F", "--filter"), "filter", "The argument is a filter, whatever it looks like.")
FORM = Option(
    ("-o", "--output"), "output", "The word json gives JSON instead of YAML.", choice((JSON,))
)


ROMAN = Option(("--roman",), "roman", "Show whole numbers as Roman numerals.")


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to list: a kind of object, its usual columns, and how some fields look.

    ``chosen`` turns options into a filter and further columns.
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
    """The commands ``list`` and ``list-fields`` for a kind of object.

    ``words`` is what the arguments of ``list`` are, if it takes any.
    """
    usual = (NO_HEADERS, SEPARATOR, OUTPUT, VERBOSE, *((UNITS,) if units else ()))
    return (
        Command(
            name="list",
            doc=doc,
            words=(CommandGroup("names", words, 0, None),) if words else (),
            options=(*usual, *((FILTER,) if words else ()), *options),
            run=partial(show_list, listed),
            own_defaults=own_defaults,
        ),
        Command(
            name="list-fields",
            doc="List the fields that lists can show and filters can use.",
            words=(CommandGroup("names", "field", 0, None),),
            options=(NO_HEADERS, SEPARATOR, FORM),
            run=partial(show_fields, listed),
        ),
    )


def show_list(listed: Listing, session: Session, arguments: Arguments) -> int:
    """Show objects in a table, or as JSON."""
    from ganeti.luxi.methods import Query

    fields, as_json = columns(arguments.get("output", ()), listed.columns)
    wanted = _wanted(listed, arguments)
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
    """Show the answer to a query."""
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
        session.tell(f"Warning: there is no field {', '.join(unknown)}; list-fields shows them")
        return UNKNOWN_FIELD
    return 0


def columns(given: Sequence[str], usual: Sequence[str]) -> tuple[list[str], bool]:
    """The fields that ``given`` texts ask for, and whether JSON is wanted.

    :raises ExitTool: they ask for none.
    """
    fields = list(usual)
    for text in given:
        if text == JSON:
            continue
        names = [name for name in text.removeprefix("+").split(",") if name]
        fields = fields + names if text.startswith("+") else names
    if not fields:
        raise ExitTool(FAILURE, "-o/--output: name at least one field; list-fields shows them")
    return fields, JSON in given


def _wanted(listed: Listing, arguments: Arguments) -> Any:
    names = arguments.get("names", ())
    if not names and not arguments.get("filter"):
        return None
    # Only who asks for some needs what reads filters.
    from ganeti.query.arguments import filter_from

    forced = bool(arguments.get("filter"))
    return filter_from(names, key=listed.key, forced=forced, numbers=listed.numbers)


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
        session.tell(f"Warning: there is no field {', '.join(unknown)}")
    return UNKNOWN_FIELD if unknown else 0


def show_facts(session: Session, arguments: Arguments, facts: Any, told: Any) -> int:
    """Show ``facts`` as JSON if that is wanted, or else what is ``told`` of them as YAML."""
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
        raise ExitTool(FAILURE, f"there is no {what} {', '.join(missing)}; see {tool} list")
