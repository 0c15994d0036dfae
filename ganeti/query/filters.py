# SPDX-License-Identifier: BSD-2-Clause
"""Filters such as ``["&", ["==", "pnode", "node1"], ["?", "oper_state"]]``, compiled to predicates.

A comparison with a field that has no value at the moment is true, as in existing masters.
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
"""Maximum nesting of a filter; existing tools allow 10."""

MAX_PARTS = 20_000
"""Maximum number of parts of a filter; lists of names are long."""

MAX_CONDITIONS = 1000
"""Maximum number of conditions that are evaluated per object.

All the values that a field may equal are looked up in a set, and are one condition.
"""

MAX_INSTRUCTIONS = 16_384
"""Maximum number of instructions of all regular expressions of a filter.

Compiling that many takes some milliseconds.
"""

MAX_DIGITS = 18
"""Maximum number of digits of a job id; Python itself refuses to parse thousands of digits."""

MAX_PROBLEMS = 100
"""Maximum number of reported problems of a filter."""


class BadFilter(Invalid):
    """A filter that cannot be applied; the message names the part and the problem."""

    wire = "ParameterError"

    def arguments(self) -> list[object]:
        return [str(self)]


@dataclass(frozen=True)
class Filter(Generic[R]):
    """A compiled filter.

    ``fields`` are the names of the fields that it tests. If ``names`` is not None, only objects
    with these names (or UUIDs) can match, so that no other has to be looked up. At most
    ``conditions`` conditions are evaluated per object.
    """

    matches: Predicate[R]
    fields: frozenset[str] = frozenset()
    names: tuple[str | int, ...] | None = None
    conditions: int = 0


def compile_filter(table: Table[R], written: object) -> Filter[R]:
    """Return the compiled filter for ``written``; None matches everything.

    :raises BadFilter: it is not a filter for this kind of object.
    """
    if written is None:
        return Filter(lambda _: True)
    _check_size(written)
    compiler = _Compiler(table)
    matches = compiler.compiled(written, 1)
    return Filter(
        matches, frozenset(compiler.used), find_names(table, written), compiler.conditions
    )


def too_deep(limit: int) -> BadFilter:
    """Return the error for a filter that is nested more than ``limit`` levels deep."""
    return BadFilter(f"a filter may be nested at most {limit} levels deep")


def _check_size(written: object) -> None:
    """Refuse a filter with too many parts before any of them is inspected."""
    count = 0
    pending = [(written, 1)]
    while pending:
        part, depth = pending.pop()
        if not isinstance(part, list | tuple) or depth > MAX_DEPTH:
            # It is too deep, which the compiler reports.
            continue
        count += 1
        if count + len(pending) > MAX_PARTS:
            raise BadFilter(
                f"a filter may have at most {MAX_PARTS} parts; query fewer objects at once"
            )
        pending += [(each, depth + 1) for each in part if isinstance(each, list | tuple)]


def find_names(table: Table[R], written: object) -> tuple[str | int, ...] | None:
    """Return the names that a filter selects, if it only selects by name; otherwise None."""
    match written:
        case ["==" | "=", str(name), str() | int() as value] if name in (table.key, "uuid"):
            return (value,)
        case ["|", *parts]:
            found: dict[str | int, None] = {}
            for part in parts:
                names = find_names(table, part)
                if names is None:
                    return None
                found.update(dict.fromkeys(names))
            return tuple(found)
    return None


class _Compiler(Generic[R]):
    """Compiles one filter to a predicate, and records the fields that it tests."""

    def __init__(self, table: Table[R]) -> None:
        self._table = table
        self._program = 0
        self.used: set[str] = set()
        self.conditions = 0

    def compiled(self, written: object, depth: int) -> Predicate[R]:
        if depth > MAX_DEPTH:
            raise too_deep(MAX_DEPTH)
        match written:
            case ["&", *parts]:
                return _match_all(self._compile_each(parts, depth + 1))
            case ["|", *parts]:
                return _match_any(self._compile_alternatives(parts, depth + 1))
            case ["!", part]:
                negated = self.compiled(part, depth + 1)
                return lambda row: not negated(row)
            case ["?", str(name)]:
                return self._compile_condition(name, _make_truth_test(self._get_field(name)))
            case ["!=", str(name), value]:
                equal = self._compile_condition(
                    name, _make_equality_test(self._get_field(name), [value])
                )
                return lambda row: not equal(row)
            case ["=~", str(name), value]:
                return self._compile_condition(
                    name, self._compile_search(self._get_field(name), value)
                )
            case [str(word), str(name), value] if word in _TESTS:
                return self._compile_condition(name, _TESTS[word](self._get_field(name), value))
            case [str(word), *_] if word in _OPERATORS:
                form = _FORMS.get(word, f'["{word}", field, value]')
                raise BadFilter(f"{word} must be used as {form}")
            case [str(word), *_]:
                raise BadFilter(f"unknown operator {word}; known operators: {' '.join(_OPERATORS)}")
        raise BadFilter("a filter must be null or a list that begins with an operator")

    def _compile_each(self, parts: Sequence[object], depth: int) -> list[Predicate[R]]:
        """Compile all parts, or report every problem."""
        return _make_all(partial(self.compiled, part, depth) for part in parts)

    def _compile_alternatives(self, parts: Sequence[object], depth: int) -> list[Predicate[R]]:
        """Compile the parts of which one must match.

        All the values that a field may equal become one condition: otherwise ten thousand names
        would be compared with each of ten thousand objects.
        """
        equal: dict[str, list[object]] = {}
        others: list[Any] = []
        for part in parts:
            match part:
                case ["==" | "=", str(name), value]:
                    equal.setdefault(name, []).append(value)
                case _:
                    others.append(part)
        return _make_all(
            (
                *(partial(self._compile_equal, name, values) for name, values in equal.items()),
                *(partial(self.compiled, part, depth) for part in others),
            )
        )

    def _compile_equal(self, name: str, values: Sequence[Any]) -> Predicate[R]:
        return self._compile_condition(name, _make_equality_test(self._get_field(name), values))

    def _compile_search(self, field: Field[R], value: object) -> Test:
        if field.kind not in (FieldType.TEXT, FieldType.OTHER) or not isinstance(value, str):
            raise BadFilter(f"{field.name} cannot be searched: =~ needs a text field and a text")
        # Imported here: tools parse filters, but never search.
        from ganeti.schema.patterns import Pattern

        try:
            pattern = Pattern(value)
        except Invalid as e:
            raise BadFilter(str(e)) from None
        self._program += pattern.size
        if self._program > MAX_INSTRUCTIONS:
            raise BadFilter("the regular expressions of this filter are too long; use fewer")
        return lambda found: isinstance(found, str) and pattern.found(found)

    def _get_field(self, name: str) -> Field[R]:
        field = self._table.fields.get(name)
        if field is None:
            raise BadFilter(f"unknown field {name} in the filter")
        self.used.add(name)
        return field

    def _compile_condition(self, name: str, test: Test) -> Predicate[R]:
        self.conditions += 1
        if self.conditions > MAX_CONDITIONS:
            raise BadFilter(f"a filter may have at most {MAX_CONDITIONS} conditions")
        value = self._table.fields[name].value

        def matches(row: R) -> bool:
            found = value(row)
            return type(found) is FieldStatus or test(found)

        return matches


def _match_all(inner: list[Predicate[R]]) -> Predicate[R]:
    return lambda row: all(matches(row) for matches in inner)


def _match_any(inner: list[Predicate[R]]) -> Predicate[R]:
    return lambda row: any(matches(row) for matches in inner)


def _make_truth_test(field: Field[Any]) -> Test:
    if field.kind is not FieldType.BOOL:
        raise BadFilter(f"{field.name} is not a boolean field; compare it with a value")
    return bool


def _make_equality_test(field: Field[Any], values: Sequence[Any]) -> Test:
    """Return a test whether a value of ``field`` is one of ``values``, in constant time."""
    wanted = frozenset(_make_all(partial(_check_operand, field, each) for each in values))
    if field.compare is Compare.HOSTNAME:
        names = frozenset(str(each).lower() for each in wanted)
        return lambda found: not names.isdisjoint(_list_shortened_names(str(found).lower()))
    read = _choose_reader(field)

    def test(found: Any) -> bool:
        found = read(found)
        # No other type equals a literal, and lists are not hashable.
        return isinstance(found, str | int | float) and found in wanted

    return test


def _list_shortened_names(host: str) -> Iterator[str]:
    """Yield the name of a host, and its prefixes without parts of the domain."""
    yield host
    dot = host.find(".")
    while dot >= 0:
        yield host[:dot]
        dot = host.find(".", dot + 1)


def _make_all(makers: Iterable[Callable[[], T]]) -> list[T]:
    """Return the results of all functions, or raise every problem at once."""
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


def _make_order_test(compare: Callable[[Any, Any], bool]) -> Callable[[Field[Any], Any], Test]:
    def made(field: Field[Any], value: object) -> Test:
        wanted = _check_operand(field, value)
        read = _choose_reader(field)
        of_its_kind = (int, float) if isinstance(wanted, int) else str

        def test(found: Any) -> bool:
            found = read(found)
            return isinstance(found, of_its_kind) and compare(found, wanted)

        return test

    return made


def _make_membership_test(field: Field[object], value: object) -> Test:
    if field.kind is not FieldType.OTHER:
        raise BadFilter(f"{field.name} is not a list; use == to compare it")
    wanted = _check_literal(field, value)
    return lambda found: isinstance(found, list | tuple | dict) and wanted in found


def _check_literal(field: Field[object], value: object) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadFilter(f"{field.name} can only be compared with text or a whole number")
    return value


def _check_operand(field: Field[object], value: object) -> str | int:
    """Return the value to compare a field with, if their types match."""
    literal = _check_literal(field, value)
    if field.compare is Compare.JOB_ID and isinstance(literal, str) and literal.isdecimal():
        if len(literal) > MAX_DIGITS:
            raise BadFilter(f"a job id has at most {MAX_DIGITS} digits")
        return int(literal)
    if field.kind is FieldType.BOOL:
        raise BadFilter(f'{field.name} is boolean; use ["?", "{field.name}"]')
    if field.kind is FieldType.TEXT and not isinstance(literal, str):
        raise BadFilter(f"{field.name} is text; {literal} is not")
    if field.kind in _NUMBERS and not isinstance(literal, int):
        raise BadFilter(f"{field.name} is a number; {literal} is not")
    return literal


def _choose_reader(field: Field[object]) -> Callable[[object], object]:
    return _join_timestamp if field.compare is Compare.SPLIT_TIMESTAMP else lambda found: found


def _join_timestamp(split: object) -> object:
    match split:
        case [int(seconds), int(micros)]:
            return seconds + micros / 1e6
    return split


_NUMBERS = frozenset({FieldType.NUMBER, FieldType.FLOAT, FieldType.UNIT, FieldType.TIMESTAMP})
_TESTS: Mapping[str, Callable[[Field[Any], Any], Test]] = {
    "==": lambda field, value: _make_equality_test(field, [value]),
    "=": lambda field, value: _make_equality_test(field, [value]),
    "<": _make_order_test(operator.lt),
    "<=": _make_order_test(operator.le),
    ">": _make_order_test(operator.gt),
    ">=": _make_order_test(operator.ge),
    "=[]": _make_membership_test,
}
_FORMS = {"!": '["!", filter]', "?": '["?", field]', "!=": '["!=", field, value]'}
_OPERATORS = ("&", "|", *_FORMS, *_TESTS, "=~")
