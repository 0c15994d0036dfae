# SPDX-License-Identifier: BSD-2-Clause
"""Reading of documents into records; a malformed document is reported with every problem."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect
from msgspec.inspect import EnumType, LiteralType, Metadata, VarTupleType, type_info

from ganeti.errors import Invalid, Problem
from ganeti.schema.types import RULES

T = TypeVar("T", bound=msgspec.Struct)

_TYPE_NAMES = {
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


# A class, a union, or an annotated type: typing has no type for all of them.
TypeHint: TypeAlias = object


def read(kind: type[T], document: object, *, lax: bool = False) -> T:
    """Return the record described by ``document``, which was decoded from JSON.

    With ``lax``, text and the numbers 0 and 1 are accepted for numbers and truth values, as in a
    query string.

    :raises Invalid: lists every problem of the document with its path.
    """
    try:
        return msgspec.convert(document, kind, strict=not lax)
    except msgspec.ValidationError as e:
        raise Invalid(problems(kind, document, lax=lax) or [_make_problem("", e)]) from None


def problems(kind: type[msgspec.Struct], document: object, *, lax: bool = False) -> list[Problem]:
    """Return every problem of ``document`` as a ``kind``; empty if it is valid.

    msgspec stops at the first problem, which makes it fast; therefore only refused documents come
    here, and each field is checked separately.
    """
    if not isinstance(document, Mapping):
        return [Problem("", f"must be an object, not {_describe_value(document)}")]
    found = []
    hints = get_type_hints(kind, include_extras=True)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    tag_field = kind.__struct_config__.tag_field
    for name, field in fields.items():
        if name not in document:
            if field.required:
                found.append(Problem(name, "is required"))
            continue
        found += _check_value(name, document[name], hints[field.name], lax)
    found += [
        Problem(str(name), "unknown parameter")
        for name in document
        if name not in fields and name != tag_field
    ]
    return found


def rephrase(message: str, choices: str = "") -> tuple[str, str]:
    """Return the path and a message in our wording for an error message of msgspec.

    ``choices`` are the allowed values, which msgspec omits for an invalid choice.
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
    what = _TYPE.sub(lambda found: " or ".join(map(_describe_type, found[1].split(" | "))), what)
    return path, what.replace("Expected ", "must be ", 1).replace(", got ", ", not ")


def choices(hint: TypeHint) -> str:
    """Return the values that a type allows if it is a choice or a list of choices; or empty."""
    kind = type_info(hint)
    while isinstance(kind, Metadata | VarTupleType):
        kind = kind.type if isinstance(kind, Metadata) else kind.item_type
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    found: list[object] = []
    for each in kinds:
        if isinstance(each, EnumType):
            found += [member.value for member in each.cls]
        elif isinstance(each, LiteralType):
            found += each.values
    return ", ".join(str(value) if value != "" else "''" for value in found)


def _check_value(path: str, value: object, hint: TypeHint, lax: bool) -> list[Problem]:
    """Return the problems of the ``value`` at ``path`` as a ``hint``."""
    try:
        msgspec.convert(value, hint, strict=not lax)
    except msgspec.ValidationError as e:
        found = _check_keys(path, value, hint)
        unknown = {each.path for each in found}
        for part in _list_members(path, value, hint):
            # A member with an invalid key is reported only once.
            if part[0] not in unknown:
                found += _check_value(*part, lax)
        for kind in _unwrap_hint(hint) if isinstance(value, Mapping) else ():
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                inside = problems(kind, value, lax=lax)
                found += [Problem(f"{path}.{each.path}", each.message) for each in inside]
        return found or [_make_problem(path, e, hint)]
    return []


def _list_members(
    path: str, value: object, hint: TypeHint
) -> Iterator[tuple[str, object, TypeHint]]:
    """Yield the members of a list or an object, each with its path and type."""
    for kind in _unwrap_hint(hint):
        arguments = get_args(kind)
        of_one_kind = get_origin(kind) is list or arguments[1:] == (...,)
        if isinstance(value, list) and of_one_kind:
            yield from ((f"{path}[{i}]", each, arguments[0]) for i, each in enumerate(value))
        elif isinstance(value, Mapping) and get_origin(kind) is dict:
            yield from ((f"{path}.{key}", each, arguments[1]) for key, each in value.items())


def _check_keys(path: str, value: object, hint: TypeHint) -> list[Problem]:
    """Return problems for the keys of an object that are unknown or invalid."""
    known = [get_args(kind)[0] for kind in _unwrap_hint(hint) if get_origin(kind) is dict]
    if not isinstance(value, Mapping) or len(known) != 1:
        return []
    if not (listed := choices(known[0])):
        return [
            each for key in value for each in _check_value(f"{path}.{key}", key, known[0], False)
        ]
    return [
        Problem(f"{path}.{key}", f"unknown parameter; known are {listed}")
        for key in value
        if str(key) not in listed.split(", ")
    ]


def _unwrap_hint(hint: TypeHint) -> Iterator[TypeHint]:
    """Yield the types that a value may have, without annotations."""
    origin = get_origin(hint)
    if origin is Annotated:
        yield from _unwrap_hint(get_args(hint)[0])
    elif origin in (Union, UnionType):
        for each in get_args(hint):
            yield from _unwrap_hint(each)
    else:
        yield hint


def _make_problem(name: str, error: msgspec.ValidationError, hint: TypeHint = None) -> Problem:
    path, what = rephrase(str(error))
    if not path and hint is not None and _CHOICE.match(what):
        path, what = rephrase(str(error), choices(hint))
    return Problem((name + path).lstrip("."), what)


def _describe_type(kind: str) -> str:
    return _TYPE_NAMES.get(kind, kind)


def _describe_value(value: object) -> str:
    names = {list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
