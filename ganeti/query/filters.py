# SPDX-License-Identifier: BSD-2-Clause
"""Filters: lists like ``["&", ["==", "pnode", "node1"], ["?", "oper_state"]]``, made to predicates.

A comparison on a field that has no value at the moment holds, as with existing masters.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from ganeti.errors import Invalid, Problem
from ganeti.query.fields import Compare, Field, Kind, Status, Table
from ganeti.schema.patterns import Pattern

R = TypeVar("R")
Predicate: TypeAlias = Callable[[R], bool]
Test: TypeAlias = Callable[[Any], bool]

MAX_DEPTH = 64
"""How deep filters may be nested; existing tools stop at 10."""


class BadFilter(Invalid):
    """A filter that cannot be applied; the message says which part of it and why."""

    wire = "ParameterError"

    def arguments(self) -> list[Any]:
        return [str(self)]


@dataclass(frozen=True)
class Filter(Generic[R]):
    """A filter that is ready for use.

    ``fields`` are the names of the fields that it looks at. If ``names`` is not None, nothing but
    the objects of these names (or, with a field of UUIDs, UUIDs) can match, so that no other has
    to be looked up.
    """

    matches: Predicate[R]
    fields: frozenset[str] = frozenset()
    names: tuple[str | int, ...] | None = None


def compile_filter(table: Table[R], written: Any) -> Filter[R]:
    """The filter that ``written`` describes; None matches everything.

    :raises BadFilter: it is not a filter for this kind of object.
    """
    if written is None:
        return Filter(lambda _: True)
    compiler = _Compiler(table)
    matches = compiler.compiled(written, 1)
    return Filter(matches, frozenset(compiler.used), names_in(table, written))


def names_in(table: Table[R], written: Any) -> tuple[str | int, ...] | None:
    """The names that a filter asks for, if it does nothing but that."""
    match written:
        case ["==" | "=", str(name), str() | int() as value] if name in (table.key, "uuid"):
            return (value,)
        case ["|", *parts]:
            found: dict[str | int, None] = {}
            for part in parts:
                names = names_in(table, part)
                if names is None:
                    return None
                found.update(dict.fromkeys(names))
            return tuple(found)
    return None


class _Compiler(Generic[R]):
    """Turns one filter into a predicate, and remembers which fields it saw."""

    def __init__(self, table: Table[R]) -> None:
        self._table = table
        self.used: set[str] = set()

    def compiled(self, written: Any, depth: int) -> Predicate[R]:
        if depth > MAX_DEPTH:
            raise BadFilter(f"a filter may be nested {MAX_DEPTH} deep")
        match written:
            case ["&" | "|" as word, *parts]:
                inner = self._each(parts, depth + 1)
                return _all_of(inner) if word == "&" else _any_of(inner)
            case ["!", part]:
                negated = self.compiled(part, depth + 1)
                return lambda row: not negated(row)
            case ["?", str(name)]:
                return self._condition(name, _truth(self._field(name)))
            case ["!=", str(name), value]:
                equal = self._condition(name, _equal(self._field(name), value))
                return lambda row: not equal(row)
            case [str(word), str(name), value] if word in _TESTS:
                return self._condition(name, _TESTS[word](self._field(name), value))
            case [str(word), *_] if word in _TESTS or word in _FORMS:
                form = _FORMS.get(word, f'["{word}", field, value]')
                raise BadFilter(f"{word} must be used as {form}")
            case [str(word), *_]:
                raise BadFilter(f"there is no operator {word}; known are {' '.join(_KNOWN)}")
        raise BadFilter("a filter must be null or a list that begins with an operator")

    def _each(self, parts: list[Any], depth: int) -> list[Predicate[R]]:
        """All parts, or everything that is wrong with them."""
        made: list[Predicate[R]] = []
        problems: list[Problem] = []
        for part in parts:
            try:
                made.append(self.compiled(part, depth))
            except BadFilter as e:
                problems += e.problems
        if problems:
            raise BadFilter(problems)
        return made

    def _field(self, name: str) -> Field[R]:
        field = self._table.fields.get(name)
        if field is None:
            raise BadFilter(f"there is no field {name} to filter by")
        self.used.add(name)
        return field

    def _condition(self, name: str, test: Test) -> Predicate[R]:
        value = self._table.fields[name].value

        def matches(row: R) -> bool:
            found = value(row)
            return type(found) is Status or test(found)

        return matches


def _all_of(inner: list[Predicate[R]]) -> Predicate[R]:
    return lambda row: all(matches(row) for matches in inner)


def _any_of(inner: list[Predicate[R]]) -> Predicate[R]:
    return lambda row: any(matches(row) for matches in inner)


def _truth(field: Field[Any]) -> Test:
    if field.kind is not Kind.BOOL:
        raise BadFilter(f"{field.name} is not true or false; compare it with something")
    return bool


def _equal(field: Field[Any], value: Any) -> Test:
    wanted = _operand(field, value)
    if field.compare is Compare.HOSTNAME:
        name = str(wanted).lower()
        short = name + "."
        return lambda found: (lower := str(found).lower()) == name or lower.startswith(short)
    read = _reading(field)
    return lambda found: bool(read(found) == wanted)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Field[Any], Any], Test]:
    def made(field: Field[Any], value: Any) -> Test:
        wanted = _operand(field, value)
        read = _reading(field)
        of_its_kind = (int, float) if isinstance(wanted, int) else str

        def test(found: Any) -> bool:
            found = read(found)
            return isinstance(found, of_its_kind) and compare(found, wanted)

        return test

    return made


def _searched(field: Field[Any], value: Any) -> Test:
    if field.kind not in (Kind.TEXT, Kind.OTHER) or not isinstance(value, str):
        raise BadFilter(f"{field.name} cannot be searched: =~ needs a field of text and a text")
    try:
        pattern = Pattern(value)
    except Invalid as e:
        raise BadFilter(str(e)) from None
    return lambda found: isinstance(found, str) and pattern.found(found)


def _contains(field: Field[Any], value: Any) -> Test:
    if field.kind is not Kind.OTHER:
        raise BadFilter(f"{field.name} is not a list; use == to compare it")
    wanted = _literal(field, value)
    return lambda found: isinstance(found, list | tuple | dict) and wanted in found


def _literal(field: Field[Any], value: Any) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadFilter(f"{field.name} can be compared with text or a whole number only")
    return value


def _operand(field: Field[Any], value: Any) -> str | int:
    """What to compare a field with, if the two go together."""
    literal = _literal(field, value)
    if field.compare is Compare.JOB_ID and isinstance(literal, str) and literal.isdecimal():
        return int(literal)
    if field.kind is Kind.BOOL:
        raise BadFilter(f'{field.name} is true or false; use ["?", "{field.name}"]')
    if field.kind is Kind.TEXT and not isinstance(literal, str):
        raise BadFilter(f"{field.name} is text; {literal} is not")
    if field.kind in _NUMBERS and not isinstance(literal, int):
        raise BadFilter(f"{field.name} is a number; {literal} is not")
    return literal


def _reading(field: Field[Any]) -> Callable[[Any], Any]:
    return _seconds if field.compare is Compare.SPLIT_TIMESTAMP else lambda found: found


def _seconds(split: Any) -> Any:
    match split:
        case [int(seconds), int(micros)]:
            return seconds + micros / 1e6
    return split


_NUMBERS = frozenset({Kind.NUMBER, Kind.FLOAT, Kind.UNIT, Kind.TIMESTAMP})
_TESTS: Mapping[str, Callable[[Field[Any], Any], Test]] = {
    "==": _equal,
    "=": _equal,
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "=~": _searched,
    "=[]": _contains,
}
_FORMS = {"!": '["!", filter]', "?": '["?", field]', "!=": '["!=", field, value]'}
_KNOWN = ("&", "|", *_FORMS, *_TESTS)
