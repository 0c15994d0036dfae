# SPDX-License-Identifier: BSD-2-Clause
"""The formats for programs that lists and details can be printed in."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ganeti.cli.output import CSV, JSON, YAML, as_json, table
from ganeti.cli.yaml_output import yaml_lines

_VALUE, _NAME = "value", "name"


def format_values(
    values: object, form: str, *, headers: bool = True, fields: Sequence[str] = ()
) -> Iterator[str]:
    """Yield the lines of values made of JSON types, in one of the formats.

    CSV (RFC 4180, with line feeds only) and tables have a row for each element of a list, with a
    column for each field; those of nested objects are called ``outer.inner``, and nested lists are
    JSON. A single object has a row for each field. ``fields`` are the columns of an empty list,
    whose headers are printed, too.
    """
    if form == JSON:
        yield as_json(values)
    elif form == YAML:
        yield from yaml_lines(values)
    else:
        titles, rows = _rows(values)
        if not titles and not (titles := list(fields)):
            return
        yield from (
            csv_lines([titles, *rows] if headers else rows)
            if form == CSV
            else table(titles, rows, headers=headers)
        )


def csv_lines(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a record for each row; one with a line feed in a quoted value is several lines long."""
    for row in rows:
        written = io.StringIO()
        # Only characters of the terminator are quoted.
        csv.writer(written, lineterminator="\r\n").writerow(row)
        yield written.getvalue().removesuffix("\r\n")


def _rows(values: object) -> tuple[list[str], list[list[str]]]:
    """Return the titles and the rows of values."""
    if isinstance(values, Mapping):
        flat = dict(_flatten(values))
        return [_NAME, _VALUE], [[name, _cell(value)] for name, value in flat.items()]
    listed = values if isinstance(values, list | tuple) else [values]
    objects = [
        dict(_flatten(each)) if isinstance(each, Mapping) else {_VALUE: each} for each in listed
    ]
    titles = list(dict.fromkeys(name for each in objects for name in each))
    return titles, [[_cell(each.get(name)) for name in titles] for each in objects]


def _flatten(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _cell(value: object) -> str:
    """Return the text of a value, as JSON where that differs from text; null is empty."""
    if value is None:
        return ""
    return value if isinstance(value, str) else as_json(value, indent=0)
