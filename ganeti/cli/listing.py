# SPDX-License-Identifier: BSD-2-Clause
"""The commands that list objects and their fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from ganeti.cli import output
from ganeti.cli.command import Arguments, Command, Positional
from ganeti.cli.lazy import LazyModule
from ganeti.cli.options import TEXT, Option, choice
from ganeti.cli.output import FORMATS, JSON

if TYPE_CHECKING:
    from ganeti.cli import listing_output
else:
    listing_output = LazyModule("ganeti.cli.listing_output")


NO_HEADERS = Option(("--no-headers",), "no_headers", "Do not print the line of column titles.")
SEPARATOR = Option(
    ("--separator",), "separator", "Separate columns by this text, and do not align them.", TEXT
)
OUTPUT = Option(
    ("-o", "--output"),
    "output",
    "The columns, by the names that list-fields shows; with a leading +, in addition to the"
    " default columns. The words json, yaml and csv print objects for programs instead of a table;"
    " columns can be given by another -o.",
    TEXT,
    many=True,
    metavar="FIELDS|json|yaml|csv|table",
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
    ("-o", "--output"),
    "output",
    "Print the values for programs: all formats have the same ones. Otherwise, the output is for"
    " people.",
    choice(FORMATS),
)
LINES = Option(
    ("-o", "--output"),
    "output",
    "The word json prints a JSON object on each line.",
    choice((JSON,)),
)


WATCH = Option(
    ("--watch",),
    "watch",
    "Keep the list up to date until it is interrupted: repaint it on a terminal, otherwise print"
    " rows as lines when they change.",
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
    chosen: Callable[[Arguments], tuple[object, Sequence[str]]] | None = None


def lists(
    listed: Listing,
    *,
    doc: str,
    words: str = "",
    units: bool = False,
    options: Sequence[Option] = (),
    own_defaults: bool = False,
    watch: bool = False,
) -> tuple[Command, Command]:
    """Return the commands ``list`` and ``list-fields`` for a kind of object.

    ``words`` is the kind of the arguments of ``list``; empty if it takes none. ``watch`` is whether
    the list can follow the event stream.
    """
    usual = (
        *(NO_HEADERS, SEPARATOR, OUTPUT, VERBOSE),
        *((UNITS,) if units else ()),
        *((WATCH,) if watch else ()),
    )
    return (
        Command(
            name="list",
            doc=doc,
            words=(Positional("names", words, 0, None),) if words else (),
            options=(*usual, *((FILTER,) if words else ()), *options),
            listed=listed.what,
            run=partial(listing_output.show_list, listed),
            own_defaults=own_defaults,
        ),
        Command(
            name="list-fields",
            doc="List the fields that lists can show and filters can use.",
            words=(Positional("names", "field", 0, None),),
            options=(NO_HEADERS, SEPARATOR, FORM),
            listed=listed.what,
            run=partial(listing_output.show_fields, listed),
        ),
    )
