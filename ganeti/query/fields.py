# SPDX-License-Identifier: BSD-2-Clause
"""Fields of objects: each declared once, for lists, manuals, the remote API and filters.

On the wire a field is ``{name, title, kind, doc}`` and a cell is ``[status, value]``.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from ganeti.errors import Invalid, Problem

R = TypeVar("R")
Definition: TypeAlias = dict[str, str]
Cell: TypeAlias = list[Any]
Row: TypeAlias = list[Cell]


class FieldType(enum.StrEnum):
    """What the values of a field are, which decides how they are shown and compared."""

    UNKNOWN = "unknown"
    TEXT = "text"
    BOOL = "bool"
    NUMBER = "number"
    FLOAT = "float"
    UNIT = "unit"
    TIMESTAMP = "timestamp"
    OTHER = "other"


class FieldStatus(enum.IntEnum):
    """Whether a cell has a value, and if not why. A field's function returns one for a value."""

    NORMAL = 0
    UNKNOWN = 1
    NODATA = 2
    UNAVAILABLE = 3
    OFFLINE = 4


class Compare(enum.Enum):
    """How filters compare the values of a field."""

    PLAIN = "plain"
    HOSTNAME = "hostname"
    """Equal names may leave out the domain and differ in case."""
    SPLIT_TIMESTAMP = "split_timestamp"
    """The value is ``[seconds, microseconds]``."""
    JOB_ID = "job_id"
    """Numbers, which may be written as text."""


class Source(enum.Enum):
    """Where the values of a field come from; what is not asked for need not be looked up."""

    CONFIG = "config"
    NODES = "nodes"
    CONSOLES = "consoles"
    JOBS = "jobs"
    ARCHIVE = "archive"
    LOCKS = "locks"
    FILES = "files"


@dataclass(frozen=True)
class Field(Generic[R]):
    """One column: its name, its title in lists, what it means, and how a row's value is found."""

    name: str
    title: str
    kind: FieldType
    doc: str
    value: Callable[[R], Any]
    source: Source = Source.CONFIG
    compare: Compare = Compare.PLAIN

    @property
    def definition(self) -> Definition:
        """The field as clients see it."""
        return {"name": self.name, "title": self.title, "kind": self.kind.value, "doc": self.doc}


class Table(Generic[R]):
    """All fields of one kind of object; ``key`` is the one that names an object."""

    def __init__(self, fields: Iterable[Field[R]], *, key: str = "name") -> None:
        listed = list(fields)
        self.fields: Mapping[str, Field[R]] = {field.name: field for field in listed}
        if len(self.fields) != len(listed):
            raise ValueError("two fields have the same name")
        self.key = key

    def chosen(self, names: Sequence[str]) -> list[Field[R]]:
        """The fields of these names; a name that is none gives a field without values."""
        return [self.fields.get(name) or _unknown(name) for name in names]

    def definitions(self, names: Sequence[str] | None = None) -> list[Definition]:
        """The fields of these names as clients see them; by default all, sorted by name."""
        return [field.definition for field in self.chosen(names or sorted(self.fields))]

    def sources(self, names: Iterable[str]) -> frozenset[Source]:
        """Where the values of these fields come from."""
        return frozenset(self.fields[name].source for name in names if name in self.fields)

    def cells(self, names: Sequence[str]) -> Callable[[R], Row]:
        """Return what makes the cells of a row, in the order of ``names``."""
        values = [field.value for field in self.chosen(names)]
        return lambda row: [cell(value(row)) for value in values]

    def select(self, names: Sequence[str], rows: Iterable[R]) -> list[Row]:
        """The cells of ``rows``, in the order of ``names``."""
        return list(map(self.cells(names), rows))

    def response(self, names: Sequence[str], rows: Iterable[R]) -> dict[str, Any]:
        """The answer to a query: definitions and cells."""
        return {"fields": self.definitions(names), "data": self.select(names, rows)}

    def plain(self, names: Sequence[str], rows: Iterable[R]) -> list[list[Any]]:
        """Bare values, as the older queries answer: null where there is none.

        :raises Invalid: some of the names are no fields.
        """
        self.known(names)
        values = [field.value for field in self.chosen(names)]
        return [[bare(value(row)) for value in values] for row in rows]

    def known(self, names: Sequence[str]) -> None:
        """Make sure that every name is a field.

        :raises Invalid: with every name that is not.
        """
        unknown = [name for name in names if name not in self.fields]
        if unknown:
            raise Invalid([Problem(name, "there is no such field") for name in unknown])


def cell(value: Any) -> Cell:
    """A value, or the reason why there is none, as it goes over the wire."""
    return [value.value, None] if type(value) is FieldStatus else [0, value]


def bare(value: Any) -> Any:
    """A value, or null in place of the reason why there is none."""
    return None if type(value) is FieldStatus else value


def _unknown(name: str) -> Field[Any]:
    return Field(
        name, name, FieldType.UNKNOWN, f"There is no field {name}.", lambda _: FieldStatus.UNKNOWN
    )
