# SPDX-License-Identifier: BSD-2-Clause
"""The predicates of job filters, in the query filter language.

A predicate is ``[name, filter]``. The filter of ``jobid`` tests the field ``id``, where the word
``watermark`` stands for the watermark of the rule. The filter of ``opcode`` tests the parameters of
an opcode and its ``OP_ID``, that of ``reason`` an entry of a reason trail; the predicate matches if
one opcode, or one entry of one opcode's trail, matches.

A condition on a parameter that an opcode does not have, or that is null, is neither true nor false,
and nor is its negation: ``["!=", "instance_name", "web1"]`` matches opcodes for other instances,
but no opcodes without an instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, TypeAlias

import msgspec
from msgspec.inspect import BoolType, NoneType, UnionType

from ganeti.errors import Invalid, Problem
from ganeti.jobs.job import Job
from ganeti.opcodes.registry import OPCODES
from ganeti.query.fields import Compare, Field, FieldType, Table
from ganeti.query.filters import MAX_DEPTH, BadFilter, compile_filter
from ganeti.schema.parameters import Parameter, parameters

Document: TypeAlias = Mapping[str, Any]
Test: TypeAlias = Callable[[Any], bool]


class FilteredJob:
    """A job as predicates see it: its opcodes in stored form, without secrets."""

    def __init__(self, job: Job) -> None:
        self.job = job

    @cached_property
    def opcodes(self) -> Sequence[Document]:
        return [msgspec.json.decode(op.input.raw) for op in self.job.ops]

    @cached_property
    def reasons(self) -> Sequence[Sequence[object]]:
        """The entries of the reason trails of all opcodes."""
        return [entry for opcode in self.opcodes for entry in opcode.get("reason") or ()]


Predicate: TypeAlias = Callable[[FilteredJob], bool]


def all_of(written: object, watermark: int) -> Predicate:
    """Return a predicate that requires all predicates of a rule; an empty list matches every job.

    :raises Invalid: lists every problem with its path.
    """
    if not isinstance(written, list | tuple):
        raise Invalid([Problem("predicates", "must be a list of predicates")])
    made: list[Predicate] = []
    problems: list[Problem] = []
    for number, each in enumerate(written):
        try:
            made.append(_compile_predicate(each, watermark))
        except Invalid as e:
            problems += [Problem(f"predicates[{number}]", found.message) for found in e.problems]
    if problems:
        raise Invalid(problems)
    return lambda subject: all(matches(subject) for matches in made)


def _compile_predicate(written: object, watermark: int) -> Predicate:
    match written:
        case ["jobid", condition]:
            return _match_any_row(
                JOB_ID, lambda subject: (subject,), _substitute_watermark(condition, watermark)
            )
        case ["opcode", condition]:
            return _match_any_row(_opcode_table(), lambda subject: subject.opcodes, condition)
        case ["reason", condition]:
            return _match_any_row(REASON, lambda subject: subject.reasons, condition)
        case [str(name), *_] if name not in _NAMES:
            raise BadFilter(f"unknown predicate {name}; known predicates: {', '.join(_NAMES)}")
    raise BadFilter(f"must be [name, filter], where name is one of {', '.join(_NAMES)}")


_NAMES = ("jobid", "opcode", "reason")


def _match_any_row(
    table: Table[Any], rows: Callable[[FilteredJob], Iterable[Any]], written: object
) -> Predicate:
    compile_filter(table, written)  # raises with every problem at once
    matches = _compile_three_valued(table, written, True)
    return lambda subject: any(map(matches, rows(subject)))


def _compile_three_valued(table: Table[Any], written: object, wanted: bool) -> Test:
    """Return a test whether a valid filter is certainly ``wanted``, in three-valued logic."""
    match written:
        case ["&" | "|" as word, *parts]:
            inner = [_compile_three_valued(table, part, wanted) for part in parts]
            if (word == "&") is wanted:
                return lambda row: all(matches(row) for matches in inner)
            return lambda row: any(matches(row) for matches in inner)
        case ["!", part]:
            return _compile_three_valued(table, part, not wanted)
        case ["!=", name, value]:
            return _compile_three_valued(table, ["==", name, value], not wanted)
        case [_, str(name), *_]:
            found, matches = table.fields[name].value, compile_filter(table, written).matches
            return lambda row: found(row) is not None and matches(row) is wanted
    return lambda _: wanted


def _substitute_watermark(written: object, watermark: int, depth: int = 0) -> Any:
    """Replace the word ``watermark`` by its number; leave a filter alone that is too deep."""
    match written:
        case [str(operator), "id", "watermark"]:
            return [operator, "id", watermark]
        case ["&" | "|" | "!" as operator, *parts] if depth < MAX_DEPTH:
            return [
                operator,
                *(_substitute_watermark(part, watermark, depth + 1) for part in parts),
            ]
    return written


# The tables of fields that predicates test

JOB_ID: Table[FilteredJob] = Table(
    (
        Field(
            "id",
            "ID",
            FieldType.NUMBER,
            "The job id.",
            lambda subject: subject.job.id,
            compare=Compare.JOB_ID,
        ),
    ),
    key="id",
)


def _get_entry(index: int) -> Callable[[Sequence[object]], object]:
    return lambda entry: entry[index] if len(entry) > index else None


REASON: Table[Sequence[Any]] = Table(
    (
        Field("source", "Source", FieldType.TEXT, "Origin of the entry.", _get_entry(0)),
        Field("reason", "Reason", FieldType.TEXT, "Text of the entry.", _get_entry(1)),
        Field("timestamp", "Time", FieldType.NUMBER, "Time in nanoseconds.", _get_entry(2)),
    ),
    key="source",
)


@cache
def _opcode_table() -> Table[Document]:
    """Return the table of all opcode parameters; built on first use, as it loads all opcodes."""
    found: dict[str, list[Parameter]] = {}
    for kind in OPCODES.values():
        for each in parameters(kind):
            found.setdefault(each.name, []).append(each)
    return Table(
        (
            Field("OP_ID", "Opcode", FieldType.TEXT, "Opcode id.", _get_parameter("OP_ID")),
            *(
                Field(
                    name, name, _choose_field_type(same), same[0].doc or name, _get_parameter(name)
                )
                for name, same in found.items()
            ),
        ),
        key="OP_ID",
    )


def _get_parameter(name: str) -> Callable[[Document], object]:
    return lambda opcode: opcode.get(name)


def _choose_field_type(same: Iterable[Parameter]) -> FieldType:
    """Return the field type for parameters of one name, whose types may differ by opcode."""
    return FieldType.BOOL if all(_is_flag(each) for each in same) else FieldType.OTHER


def _is_flag(parameter: Parameter) -> bool:
    kind = parameter.type
    kinds = kind.types if isinstance(kind, UnionType) else (kind,)
    return all(isinstance(each, BoolType | NoneType) for each in kinds)
