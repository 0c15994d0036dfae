# SPDX-License-Identifier: BSD-2-Clause
"""What the rules about jobs can say of a job, in the language of questions.

A predicate is ``[name, filter]``. The filter of ``jobid`` is about the field ``id``, and the word
``watermark`` stands for that of the rule. That of ``opcode`` is about the parameters of an opcode
and its ``OP_ID``, and that of ``reason`` about an entry of a reason trail; it is enough that one
opcode, or one entry of one opcode's trail, matches.

What is said of a parameter that an opcode does not have, or that is null, is neither true nor
false, and nor is its opposite: ``["!=", "instance_name", "web1"]`` is true of opcodes about other
instances, and not of those that are about none.
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
    """A job as predicates see it: its opcodes as they are stored, so without secrets."""

    def __init__(self, job: Job) -> None:
        self.job = job

    @cached_property
    def opcodes(self) -> Sequence[Document]:
        return [msgspec.json.decode(op.input.raw) for op in self.job.ops]

    @cached_property
    def reasons(self) -> Sequence[Sequence[Any]]:
        """The entries of the reason trails of all opcodes."""
        return [entry for opcode in self.opcodes for entry in opcode.get("reason") or ()]


Predicate: TypeAlias = Callable[[FilteredJob], bool]


def all_of(written: Any, watermark: int) -> Predicate:
    """Whether a job matches all the predicates of a rule; none match every job.

    :raises Invalid: with everything that is wrong, each with its place.
    """
    if not isinstance(written, list | tuple):
        raise Invalid([Problem("predicates", "must be a list of predicates")])
    made: list[Predicate] = []
    problems: list[Problem] = []
    for number, each in enumerate(written):
        try:
            made.append(_predicate(each, watermark))
        except Invalid as e:
            problems += [Problem(f"predicates[{number}]", found.message) for found in e.problems]
    if problems:
        raise Invalid(problems)
    return lambda subject: all(matches(subject) for matches in made)


def _predicate(written: Any, watermark: int) -> Predicate:
    match written:
        case ["jobid", condition]:
            return _any_of(JOB_ID, lambda subject: (subject,), _filled(condition, watermark))
        case ["opcode", condition]:
            return _any_of(_opcode(), lambda subject: subject.opcodes, condition)
        case ["reason", condition]:
            return _any_of(REASON, lambda subject: subject.reasons, condition)
        case [str(name), *_] if name not in _NAMES:
            raise BadFilter(f"there is no predicate {name}; known are {', '.join(_NAMES)}")
    raise BadFilter(f"must be [name, filter], and the name one of {', '.join(_NAMES)}")


_NAMES = ("jobid", "opcode", "reason")


def _any_of(
    table: Table[Any], rows: Callable[[FilteredJob], Iterable[Any]], written: Any
) -> Predicate:
    compile_filter(table, written)  # refuses what is wrong, all of it at once
    matches = _surely(table, written, True)
    return lambda subject: any(map(matches, rows(subject)))


def _surely(table: Table[Any], written: Any, wanted: bool) -> Test:
    """Whether a filter, which must be right, is surely what is ``wanted``: true, or false."""
    match written:
        case ["&" | "|" as word, *parts]:
            inner = [_surely(table, part, wanted) for part in parts]
            if (word == "&") is wanted:
                return lambda row: all(matches(row) for matches in inner)
            return lambda row: any(matches(row) for matches in inner)
        case ["!", part]:
            return _surely(table, part, not wanted)
        case ["!=", name, value]:
            return _surely(table, ["==", name, value], not wanted)
        case [_, name, *_]:
            found, matches = table.fields[name].value, compile_filter(table, written).matches
            return lambda row: found(row) is not None and matches(row) is wanted
    return lambda _: wanted


def _filled(written: Any, watermark: int, depth: int = 0) -> Any:
    """A filter with the number in place of the word; one that is too deep stays as it is."""
    match written:
        case [str(operator), "id", "watermark"]:
            return [operator, "id", watermark]
        case ["&" | "|" | "!" as operator, *parts] if depth < MAX_DEPTH:
            return [operator, *(_filled(part, watermark, depth + 1) for part in parts)]
    return written


# What there is to look at

JOB_ID: Table[FilteredJob] = Table(
    (
        Field(
            "id",
            "ID",
            FieldType.NUMBER,
            "The number of the job.",
            lambda subject: subject.job.id,
            compare=Compare.JOB_ID,
        ),
    ),
    key="id",
)


def _part(index: int) -> Callable[[Sequence[Any]], Any]:
    return lambda entry: entry[index] if len(entry) > index else None


REASON: Table[Sequence[Any]] = Table(
    (
        Field("source", "Source", FieldType.TEXT, "Who says it.", _part(0)),
        Field("reason", "Reason", FieldType.TEXT, "What is said.", _part(1)),
        Field("timestamp", "Time", FieldType.NUMBER, "When, in nanoseconds.", _part(2)),
    ),
    key="source",
)


@cache
def _opcode() -> Table[Document]:
    """The parameters of all opcodes; made when first needed, as it loads all of them."""
    found: dict[str, list[Parameter]] = {}
    for kind in OPCODES.values():
        for each in parameters(kind):
            found.setdefault(each.name, []).append(each)
    return Table(
        (
            Field("OP_ID", "Opcode", FieldType.TEXT, "What the opcode is.", _named("OP_ID")),
            *(
                Field(name, name, _kind(same), same[0].doc or name, _named(name))
                for name, same in found.items()
            ),
        ),
        key="OP_ID",
    )


def _named(name: str) -> Callable[[Document], Any]:
    return lambda opcode: opcode.get(name)


def _kind(same: Iterable[Parameter]) -> FieldType:
    """What can be done with parameters of one name: opcodes need not agree on its type."""
    return FieldType.BOOL if all(_is_flag(each) for each in same) else FieldType.OTHER


def _is_flag(parameter: Parameter) -> bool:
    kind = parameter.type
    kinds = kind.types if isinstance(kind, UnionType) else (kind,)
    return all(isinstance(each, BoolType | NoneType) for each in kinds)
