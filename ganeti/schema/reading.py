# SPDX-License-Identifier: BSD-2-Clause
"""Reading documents into records, with an answer that lists every problem at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect
from msgspec.inspect import EnumType, LiteralType, Metadata, VarTupleType, type_info

from ganeti.errors import Invalid, Problem
from ganeti.schema.types import RULES

T = TypeVar("T", bound=msgspec.Struct)

_CALLED = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}
_TYPE = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`")
_CHOICE = re.compile(r"^Invalid (?:enum )?value (.*)$", re.DOTALL)
_FIELD = re.compile(r"^Object (contains unknown|missing required) field `(.*)`$", re.DOTALL)
_RULES = {f"Expected `str` matching regex {pattern!r}": words for pattern, words in RULES.items()}
_WHERE = re.compile(r"^(?P<what>.*?) - at (?:`key` in )?`\$(?P<path>.*)`$", re.DOTALL)


def read(kind: type[T], document: Any, *, lax: bool = False) -> T:
    """The record that ``document``, as decoded from JSON, describes.

    With ``lax``, text and the numbers 0 and 1 stand for the numbers and truth values they spell,
    as in a query string.

    :raises Invalid: with every problem of the document, each with its path.
    """
    try:
        return msgspec.convert(document, kind, strict=not lax)
    except msgspec.ValidationError as e:
        raise Invalid(problems(kind, document, lax=lax) or [_problem("", e)]) from None


def problems(kind: type[msgspec.Struct], document: Any, *, lax: bool = False) -> list[Problem]:
    """Everything that keeps ``document`` from being a ``kind``; empty if nothing does.

    msgspec stops at the first problem, which is what makes it fast; so only a document that it
    has refused comes here, and has each of its fields tried alone.
    """
    if not isinstance(document, Mapping):
        return [Problem("", f"must be an object, not {_called(document)}")]
    found = []
    hints = get_type_hints(kind, include_extras=True)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    tag_field = kind.__struct_config__.tag_field
    for name, field in fields.items():
        if name not in document:
            if field.required:
                found.append(Problem(name, "is required"))
            continue
        found += _inside(name, document[name], hints[field.name], lax)
    found += [
        Problem(str(name), "unknown parameter")
        for name in document
        if name not in fields and name != tag_field
    ]
    return found


def phrased(message: str, choices: str = "") -> tuple[str, str]:
    """Where in a value something is wrong, and what, made of what msgspec says.

    ``choices`` are what would have been right where it says only that a choice is not.
    """
    where = _WHERE.match(message)
    what, path = (where["what"], where["path"]) if where else (message, "")
    if choice := _CHOICE.match(what):
        return path, f"must be one of {choices}, not {choice[1]}" if choices else what
    if what in _RULES:
        return path, _RULES[what]
    if field := _FIELD.match(what):
        return (
            path,
            f"{'unknown' if field[1] == 'contains unknown' else 'missing'} parameter {field[2]}",
        )
    what = _TYPE.sub(lambda found: " or ".join(map(_words, found[1].split(" | "))), what)
    return path, what.replace("Expected ", "must be ", 1).replace(", got ", ", not ")


def choices(hint: Any) -> str:
    """The values that a type allows, if it is a choice, a list of choices, or nothing."""
    kind = type_info(hint)
    while isinstance(kind, Metadata | VarTupleType):
        kind = kind.type if isinstance(kind, Metadata) else kind.item_type
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    found: list[Any] = []
    for each in kinds:
        if isinstance(each, EnumType):
            found += [member.value for member in each.cls]
        elif isinstance(each, LiteralType):
            found += each.values
    return ", ".join(str(value) if value != "" else "''" for value in found)


def _inside(path: str, value: Any, hint: Any, lax: bool) -> list[Problem]:
    """What keeps the ``value`` at ``path`` from being what ``hint`` says."""
    try:
        msgspec.convert(value, hint, strict=not lax)
    except msgspec.ValidationError as e:
        found = _wrong_keys(path, value, hint)
        unknown = {each.path for each in found}
        for part in _parts(path, value, hint):
            if part[0] not in unknown:
                found += _inside(*part, lax)
        for kind in _plain(hint) if isinstance(value, Mapping) else ():
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                inside = problems(kind, value, lax=lax)
                found += [Problem(f"{path}.{each.path}", each.message) for each in inside]
        return found or [_problem(path, e, hint)]
    return []


def _parts(path: str, value: Any, hint: Any) -> Iterator[tuple[str, Any, Any]]:
    """The members of a list or an object, each with its path and what it should be."""
    for kind in _plain(hint):
        arguments = get_args(kind)
        of_one_kind = get_origin(kind) is list or arguments[1:] == (...,)
        if isinstance(value, list) and of_one_kind:
            yield from ((f"{path}[{i}]", each, arguments[0]) for i, each in enumerate(value))
        elif isinstance(value, Mapping) and get_origin(kind) is dict:
            yield from ((f"{path}.{key}", each, arguments[1]) for key, each in value.items())


def _wrong_keys(path: str, value: Any, hint: Any) -> list[Problem]:
    """The keys of an object that are none of those that there are, or that can be."""
    known = [get_args(kind)[0] for kind in _plain(hint) if get_origin(kind) is dict]
    if not isinstance(value, Mapping) or len(known) != 1:
        return []
    if not (listed := choices(known[0])):
        return [each for key in value for each in _inside(f"{path}.{key}", key, known[0], False)]
    return [
        Problem(f"{path}.{key}", f"unknown parameter; known are {listed}")
        for key in value
        if str(key) not in listed.split(", ")
    ]


def _plain(hint: Any) -> Iterator[Any]:
    """The types that a value may have, without what is said about them."""
    origin = get_origin(hint)
    if origin is Annotated:
        yield from _plain(get_args(hint)[0])
    elif origin in (Union, UnionType):
        for each in get_args(hint):
            yield from _plain(each)
    else:
        yield hint


def _problem(name: str, error: msgspec.ValidationError, hint: Any = None) -> Problem:
    path, what = phrased(str(error))
    if not path and hint is not None and _CHOICE.match(what):
        path, what = phrased(str(error), choices(hint))
    return Problem((name + path).lstrip("."), what)


def _words(kind: str) -> str:
    return _CALLED.get(kind, kind)


def _called(value: Any) -> str:
    names = {list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
