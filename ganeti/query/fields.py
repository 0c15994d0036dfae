# SPDX-License-Identifier: BSD-2-Clause
"""Fields of objects: each declared once for lists, manual pages, the remote API and filters.

On the wire a field is ``{name, title, kind, doc}`` and a cell is ``[status, value]``.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypedDict, TypeVar

from ganeti.errors import Invalid, Problem

R = TypeVar("R")
Definition: TypeAlias = dict[str, str]
Cell: TypeAlias = list[object]
Row: TypeAlias = list[Cell]


class QueryResponse(TypedDict):
    """The answer to a query: the definitions of its fields, and a cell for each of a row."""

    fields: list[Definition]
    data: list[Row]


class FieldType(enum.StrEnum):
    """The type of a field's values, which decides how they are displayed and compared."""

    UNKNOWN = "unknown"
    TEXT = "text"
    BOOL = "bool"
    NUMBER = "number"
    FLOAT = "float"
    UNIT = "unit"
    TIMESTAMP = "timestamp"
    OTHER = "other"


class FieldStatus(enum.IntEnum):
    """The status of a cell; a field's function returns one, except NORMAL, in place of a value."""

    NORMAL = 0
    UNKNOWN = 1
    NODATA = 2
    UNAVAILABLE = 3
    OFFLINE = 4


class Compare(enum.Enum):
    """How filters compare the values of a field."""

    PLAIN = "plain"
    HOSTNAME = "hostname"
    """Names are equal if they differ in case only, or by a missing domain."""
    SPLIT_TIMESTAMP = "split_timestamp"
    """The value is ``[seconds, microseconds]``."""
    JOB_ID = "job_id"
    """The value is a number; filters may give it as text."""


class Source(enum.Enum):
    """The source of a field's values; a query reads only the sources that it needs."""

    CONFIG = "config"
    NODES = "nodes"
    CONSOLES = "consoles"
    JOBS = "jobs"
    ARCHIVE = "archive"
    LOCKS = "locks"
    FILES = "files"


@dataclass(frozen=True)
class Field(Generic[R]):
    """A field: its name, its title in lists, its description, and a function for its value."""

    name: str
    title: str
    kind: FieldType
    doc: str
    value: Callable[[R], object]
    source: Source = Source.CONFIG
    compare: Compare = Compare.PLAIN

    @property
    def definition(self) -> Definition:
        """The definition of the field that clients receive."""
        return {"name": self.name, "title": self.title, "kind": self.kind.value, "doc": self.doc}


class Table(Generic[R]):
    """All fields of a kind of object; ``key`` is the field that identifies an object."""

    def __init__(self, fields: Iterable[Field[R]], *, key: str = "name") -> None:
        listed = list(fields)
        self.fields: Mapping[str, Field[R]] = {field.name: field for field in listed}
        if len(self.fields) != len(listed):
            raise ValueError("two fields have the same name")
        self.key = key

    def chosen(self, names: Sequence[str]) -> list[Field[R]]:
        """Return the fields with these names; an unknown name gives a field without values."""
        return [self.fields.get(name) or _make_unknown_field(name) for name in names]

    def definitions(self, names: Sequence[str] | None = None) -> list[Definition]:
        """Return the definitions of these fields; by default of all, sorted by name."""
        return [field.definition for field in self.chosen(names or sorted(self.fields))]

    def sources(self, names: Iterable[str]) -> frozenset[Source]:
        """Return the sources of the values of these fields."""
        return frozenset(self.fields[name].source for name in names if name in self.fields)

    def cells(self, names: Sequence[str]) -> Callable[[R], Row]:
        """Return a function that makes the cells of a row, in the order of ``names``."""
        values = [field.value for field in self.chosen(names)]
        return lambda row: [cell(value(row)) for value in values]

    def select(self, names: Sequence[str], rows: Iterable[R]) -> list[Row]:
        """Return the cells of ``rows``, in the order of ``names``."""
        return list(map(self.cells(names), rows))

    def response(self, names: Sequence[str], rows: Iterable[R]) -> QueryResponse:
        """Return the answer to a query: definitions and cells."""
        return {"fields": self.definitions(names), "data": self.select(names, rows)}

    def plain(self, names: Sequence[str], rows: Iterable[R]) -> list[list[object]]:
        """Return bare values, as older queries answer; null for missing values.

        :raises Invalid: a name is not a field.
        """
        return list(map(self.plain_row(names), rows))

    def plain_row(self, names: Sequence[str]) -> Callable[[R], list[object]]:
        """Return a function that makes the bare values of a row; see :meth:`plain`."""
        self.known(names)
        values = [field.value for field in self.chosen(names)]
        return lambda row: [bare(value(row)) for value in values]

    def known(self, names: Sequence[str]) -> None:
        """Check that every name is a field.

        :raises Invalid: lists every unknown name.
        """
        unknown = [name for name in names if name not in self.fields]
        if unknown:
            raise Invalid([Problem(name, "unknown output field") for name in unknown])


def cell(value: object) -> Cell:
    """Return the wire form of a value, or of the status that replaces it."""
    return [value.value, None] if type(value) is FieldStatus else [0, value]


def bare(value: object) -> object:
    """Return a value, or None for a status that replaces it."""
    return None if type(value) is FieldStatus else value


def _make_unknown_field(name: str) -> Field[Any]:
    return Field(
        name,
        name,
        FieldType.UNKNOWN,
        f"Unknown output field {name}.",
        lambda _: FieldStatus.UNKNOWN,
    )
