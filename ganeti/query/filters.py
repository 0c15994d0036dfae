# SPDX-License-Identifier: BSD-2-Clause
"""Filters: lists like ``["&", ["==", "pnode", "node1"], ["?", "oper_state"]]``, made to predicates.

A comparison on a field that has no value at the moment holds, as with existing masters.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

from ganeti.errors import Invalid, Problem
from ganeti.query.fields import Compare, Field, FieldStatus, FieldType, Table

R = TypeVar("R")
T = TypeVar("T")
Predicate: TypeAlias = Callable[[R], bool]
Test: TypeAlias = Callable[[Any], bool]

MAX_DEPTH = 64
"""How deep filters may be nested; existing tools stop at 10."""

MAX_PARTS = 20_000
"""How many parts a filter may have in all. Lists of names are long."""

MAX_CONDITIONS = 1000
"""How many conditions each object is tried with. All the values that one field may equal, which
are looked up in a set, are one condition."""

MAX_PROGRAM = 16_384
"""How many instructions the regular expressions of a filter may have in all. Compiling so many
takes some milliseconds."""

MAX_DIGITS = 18
"""How many digits a job id may have; reading thousands of them is refused by Python itself."""

MAX_PROBLEMS = 100
"""How many problems of a filter are reported at most."""


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
    to be looked up. Each object is tried with ``conditions`` conditions at most.
    """

    matches: Predicate[R]
    fields: frozenset[str] = frozenset()
    names: tuple[str | int, ...] | None = None
    conditions: int = 0


def compile_filter(table: Table[R], written: Any) -> Filter[R]:
    """The filter that ``written`` describes; None matches everything.

    :raises BadFilter: it is not a filter for this kind of object.
    """
    if written is None:
        return Filter(lambda _: True)
    _check_size(written)
    compiler = _Compiler(table)
    matches = compiler.compiled(written, 1)
    return Filter(matches, frozenset(compiler.used), names_in(table, written), compiler.conditions)


def _check_size(written: Any) -> None:
    """Refuse a filter of too many parts before any of them is looked into."""
    count = 0
    pending = [(written, 1)]
    while pending:
        part, depth = pending.pop()
        if not isinstance(part, list | tuple) or depth > MAX_DEPTH:
            continue
        count += 1
        if count + len(pending) > MAX_PARTS:
            raise BadFilter(f"a filter may have {MAX_PARTS} parts; ask for fewer at once")
        pending += [(each, depth + 1) for each in part if isinstance(each, list | tuple)]


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
        self._program = 0
        self.used: set[str] = set()
        self.conditions = 0

    def compiled(self, written: Any, depth: int) -> Predicate[R]:
        if depth > MAX_DEPTH:
            raise BadFilter(f"a filter may be nested {MAX_DEPTH} deep")
        match written:
            case ["&", *parts]:
                return _all_of(self._each(parts, depth + 1))
            case ["|", *parts]:
                return _any_of(self._alternatives(parts, depth + 1))
            case ["!", part]:
                negated = self.compiled(part, depth + 1)
                return lambda row: not negated(row)
            case ["?", str(name)]:
                return self._condition(name, _truth(self._field(name)))
            case ["!=", str(name), value]:
                equal = self._condition(name, _equal_to_any(self._field(name), [value]))
                return lambda row: not equal(row)
            case ["=~", str(name), value]:
                return self._condition(name, self._searched(self._field(name), value))
            case [str(word), str(name), value] if word in _TESTS:
                return self._condition(name, _TESTS[word](self._field(name), value))
            case [str(word), *_] if word in _KNOWN:
                form = _FORMS.get(word, f'["{word}", field, value]')
                raise BadFilter(f"{word} must be used as {form}")
            case [str(word), *_]:
                raise BadFilter(f"there is no operator {word}; known are {' '.join(_KNOWN)}")
        raise BadFilter("a filter must be null or a list that begins with an operator")

    def _each(self, parts: Sequence[Any], depth: int) -> list[Predicate[R]]:
        """Compile all parts, or report everything that is wrong with them."""
        return _all_or_problems(partial(self.compiled, part, depth) for part in parts)

    def _alternatives(self, parts: Sequence[Any], depth: int) -> list[Predicate[R]]:
        """Compile the parts of which one must match.

        All the values that the same field may equal become one condition: otherwise a list of
        ten thousand names would be gone through for each of ten thousand objects.
        """
        equal: dict[str, list[Any]] = {}
        others: list[Any] = []
        for part in parts:
            match part:
                case ["==" | "=", str(name), value]:
                    equal.setdefault(name, []).append(value)
                case _:
                    others.append(part)
        return _all_or_problems(
            (
                *(partial(self._equal, name, values) for name, values in equal.items()),
                *(partial(self.compiled, part, depth) for part in others),
            )
        )

    def _equal(self, name: str, values: Sequence[Any]) -> Predicate[R]:
        return self._condition(name, _equal_to_any(self._field(name), values))

    def _searched(self, field: Field[R], value: Any) -> Test:
        if field.kind not in (FieldType.TEXT, FieldType.OTHER) or not isinstance(value, str):
            raise BadFilter(f"{field.name} cannot be searched: =~ needs a field of text and a text")
        # Only here, as the tools read filters and never search.
        from ganeti.schema.patterns import Pattern

        try:
            pattern = Pattern(value)
        except Invalid as e:
            raise BadFilter(str(e)) from None
        self._program += pattern.size
        if self._program > MAX_PROGRAM:
            raise BadFilter("the regular expressions of this filter are too long; use fewer")
        return lambda found: isinstance(found, str) and pattern.found(found)

    def _field(self, name: str) -> Field[R]:
        field = self._table.fields.get(name)
        if field is None:
            raise BadFilter(f"there is no field {name} to filter by")
        self.used.add(name)
        return field

    def _condition(self, name: str, test: Test) -> Predicate[R]:
        self.conditions += 1
        if self.conditions > MAX_CONDITIONS:
            raise BadFilter(f"a filter may have {MAX_CONDITIONS} conditions")
        value = self._table.fields[name].value

        def matches(row: R) -> bool:
            found = value(row)
            return type(found) is FieldStatus or test(found)

        return matches


def _all_of(inner: list[Predicate[R]]) -> Predicate[R]:
    return lambda row: all(matches(row) for matches in inner)


def _any_of(inner: list[Predicate[R]]) -> Predicate[R]:
    return lambda row: any(matches(row) for matches in inner)


def _truth(field: Field[Any]) -> Test:
    if field.kind is not FieldType.BOOL:
        raise BadFilter(f"{field.name} is not true or false; compare it with something")
    return bool


def _equal_to_any(field: Field[Any], values: Sequence[Any]) -> Test:
    """Return whether a value of ``field`` is one of ``values``, however many these are."""
    wanted = frozenset(_all_or_problems(partial(_operand, field, each) for each in values))
    if field.compare is Compare.HOSTNAME:
        names = frozenset(str(each).lower() for each in wanted)
        return lambda found: not names.isdisjoint(_names_of(str(found).lower()))
    read = _reading(field)

    def test(found: Any) -> bool:
        found = read(found)
        # Nothing else equals a literal, and lists cannot be looked up in a set.
        return isinstance(found, str | int | float) and found in wanted

    return test


def _names_of(host: str) -> Iterator[str]:
    """Return the name of a host and what is left of it without a part of its domain."""
    yield host
    dot = host.find(".")
    while dot >= 0:
        yield host[:dot]
        dot = host.find(".", dot + 1)


def _all_or_problems(makers: Iterable[Callable[[], T]]) -> list[T]:
    """Make everything, or report all that is wrong at once."""
    made: list[T] = []
    problems: list[Problem] = []
    for make in makers:
        try:
            made.append(make())
        except BadFilter as e:
            problems += e.problems
    if problems:
        raise BadFilter(problems[:MAX_PROBLEMS])
    return made


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


def _contains(field: Field[Any], value: Any) -> Test:
    if field.kind is not FieldType.OTHER:
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
        if len(literal) > MAX_DIGITS:
            raise BadFilter(f"a job id has {MAX_DIGITS} digits at most")
        return int(literal)
    if field.kind is FieldType.BOOL:
        raise BadFilter(f'{field.name} is true or false; use ["?", "{field.name}"]')
    if field.kind is FieldType.TEXT and not isinstance(literal, str):
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


_NUMBERS = frozenset({FieldType.NUMBER, FieldType.FLOAT, FieldType.UNIT, FieldType.TIMESTAMP})
_TESTS: Mapping[str, Callable[[Field[Any], Any], Test]] = {
    "==": lambda field, value: _equal_to_any(field, [value]),
    "=": lambda field, value: _equal_to_any(field, [value]),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "=[]": _contains,
}
_FORMS = {"!": '["!", filter]', "?": '["?", field]', "!=": '["!=", field, value]'}
_KNOWN = ("&", "|", *_FORMS, *_TESTS, "=~")
