# SPDX-License-Identifier: BSD-2-Clause
"""Format answers of the master as lines of text; pure functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

# Each field has a type of its own, which the master decides.
Fields: TypeAlias = Mapping[str, Any]
"""The fields of an object, or of an answer, by name."""
Show: TypeAlias = Callable[[Any], str]
"""Formats the values of one field."""

JSON, YAML, CSV, TABLE = "json", "yaml", "csv", "table"
FORMATS = (JSON, YAML, CSV, TABLE)
"""Values of the output option that select a format instead of columns."""

UNKNOWN = 1
"""The status of a value whose field is unknown."""

_ABNORMAL = {
    UNKNOWN: ("??", "(unknown)"),
    2: ("?", "(nodata)"),
    3: ("-", "(unavail)"),
    4: ("*", "(offline)"),
}
"""The text for a missing value by its status, short and in words."""

_RIGHT = frozenset({"number", "unit", "float"})

_DIVISORS = {"m": 1, "g": 1024, "t": 1024 * 1024}
UNITS = ("h", "m", "g", "t")
"""Units of sizes: human-readable with a letter, or all in MiB, GiB or TiB."""


def size(mebibytes: float, unit: str = "h") -> str:
    """Format a size in MiB for people, or in one unit without its letter."""
    if unit == "m" or (unit == "h" and mebibytes < 1024):
        return f"{mebibytes:.0f}" + ("M" if unit == "h" else "")
    if unit == "h":
        unit = "g" if mebibytes < 1024 * 1024 else "t"
        return f"{mebibytes / _DIVISORS[unit]:.1f}{unit.upper()}"
    return f"{mebibytes / _DIVISORS[unit]:.1f}"


def timestamp(seconds: float | None) -> str:
    """Format seconds since the epoch as local time."""
    if seconds is None:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def moment(split: Sequence[int] | None) -> str:
    """Format ``[seconds, microseconds]`` since the epoch as local time."""
    if not split:
        return "-"
    seconds, micros = split
    return f"{timestamp(seconds)}.{micros:06d}"


def plain(value: object) -> str:
    """Format any value on one line: lists with commas, deeper nesting as JSON."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "Y" if value else "N"
    if isinstance(value, list):
        if any(isinstance(each, dict | list) for each in value):
            return as_json(value, indent=0)
        return ",".join(map(plain, value))
    return as_json(value, indent=0) if isinstance(value, dict) else str(value)


def as_json(value: object, indent: int = 2) -> str:
    """Encode a value as JSON, indented, or on one line if ``indent`` is 0."""
    encoded = msgspec.json.encode(value)
    return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()


def _formatter(kind: str, units: str) -> Show:
    if kind == "unit":
        return lambda value: "-" if value is None else size(value, units)
    return timestamp if kind == "timestamp" else plain


def cells(
    definitions: Sequence[Mapping[str, str]],
    rows: Sequence[Sequence[Sequence[Any]]],
    *,
    units: str = "h",
    verbose: bool = False,
    shows: Mapping[str, Show] = {},
) -> list[list[str]]:
    """Return the text of all cells of a query's answer; ``shows`` are formatters by field name."""
    by_column = [
        shows.get(field["name"]) or _formatter(field["kind"], units) for field in definitions
    ]
    words = {status: texts[verbose] for status, texts in _ABNORMAL.items()}
    return [
        [
            words[status] if status else show(value)
            for show, (status, value) in zip(by_column, row, strict=True)
        ]
        for row in rows
    ]


def table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[bool] = (),
    headers: bool = True,
    separator: str | None = None,
    least: Sequence[int] = (),
) -> Iterator[str]:
    """Yield lines with aligned columns, those in ``right`` to the right; with a ``separator``,
    unaligned.

    Columns have at least the widths ``least``. The last column is not padded if it is aligned to
    the left.
    """
    everything = [list(titles), *rows] if headers else list(rows)
    if separator is not None:
        yield from (separator.join(row) for row in everything)
        return
    if not everything:
        return
    rights = tuple(right) or (False,) * len(titles)
    widths = measure(everything, least)
    if widths and not rights[-1]:
        widths[-1] = 0
    form = " ".join(
        f"%{width}s" if to_right else f"%-{width}s" if width else "%s"
        for width, to_right in zip(widths, rights, strict=True)
    )
    yield from (form % tuple(row) for row in everything)


def measure(rows: Sequence[Sequence[str]], least: Sequence[int] = ()) -> list[int]:
    """Return the widths of the columns of ``rows``, which are at least ``least``."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [max(pair) for pair in zip(widths, least, strict=True)] if least else widths


def aligned(
    answer: Mapping[str, Any],
    least: Sequence[int],
    *,
    separator: str | None = None,
    units: str | None = None,
    verbose: bool = False,
    shows: Mapping[str, Show] = {},
) -> tuple[Iterator[str], Sequence[int]]:
    """Return the lines of a query's answer with titles, and the widths of its columns.

    With these widths as ``least``, the next answer is aligned to this one.
    """
    definitions = answer["fields"]
    units = units or ("h" if separator is None else "m")
    rows = cells(definitions, answer["data"], units=units, verbose=verbose, shows=shows)
    titles = [field["title"] for field in definitions]
    right = [field["kind"] in _RIGHT for field in definitions]
    widths = measure([titles, *rows], least)
    return table(titles, rows, right=right, separator=separator, least=widths), widths


def listing(
    answer: Fields,
    *,
    headers: bool = True,
    separator: str | None = None,
    units: str | None = None,
    verbose: bool = False,
    shows: Mapping[str, Show] = {},
) -> Iterator[str]:
    """Yield the lines of a query's answer. Unless ``units`` is given, sizes are human-readable, or
    in MiB with a ``separator``, which means that a program reads them."""
    definitions = answer["fields"]
    units = units or ("h" if separator is None else "m")
    rows = cells(definitions, answer["data"], units=units, verbose=verbose, shows=shows)
    right = [field["kind"] in _RIGHT for field in definitions]
    titles = [field["title"] for field in definitions]
    return table(titles, rows, right=right, headers=headers, separator=separator)


def field_names(answer: Fields) -> list[str]:
    """Return the names of the fields of a query's answer."""
    return [field["name"] for field in answer["fields"]]


def objects(answer: Fields) -> list[Fields]:
    """Return a query's answer as objects ``{field: value}``, with null for missing values."""
    names = field_names(answer)
    return [
        {name: cell[1] for name, cell in zip(names, row, strict=True)} for row in answer["data"]
    ]


def unknown(answer: Fields) -> list[str]:
    """Return the requested fields that do not exist."""
    return [field["name"] for field in answer["fields"] if field["kind"] == "unknown"]
