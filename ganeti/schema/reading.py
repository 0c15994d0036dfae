# SPDX-License-Identifier: BSD-2-Clause
"""Reading documents into records, with an answer that lists every problem at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

import msgspec

from ganeti.errors import Invalid, Problem

T = TypeVar("T", bound=msgspec.Struct)

_WHERE = re.compile(r"^(?P<what>.*?) - at `\$(?P<path>.*)`$", re.DOTALL)


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
        try:
            msgspec.convert(document[name], hints[field.name], strict=not lax)
        except msgspec.ValidationError as e:
            found.append(_problem(name, e))
    found += [
        Problem(str(name), "unknown parameter")
        for name in document
        if name not in fields and name != tag_field
    ]
    return found


def _problem(name: str, error: msgspec.ValidationError) -> Problem:
    where = _WHERE.match(str(error))
    what, path = (where["what"], where["path"]) if where else (str(error), "")
    what = what.removeprefix("Expected ")
    if what != str(error) and not what.startswith("`"):
        what = "must be " + what
    elif what != str(error):
        what = "must be " + what.replace("`", "").replace(", got ", ", not ")
    return Problem(name + path, what.replace("`", "").replace(", got ", ", not "))


def _called(value: Any) -> str:
    names = {list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
