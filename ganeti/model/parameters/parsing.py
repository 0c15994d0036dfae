# SPDX-License-Identifier: BSD-2-Clause
"""Validation of parameters given by users, as JSON values or text; reports all problems at once."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import get_type_hints

import msgspec
from msgspec import inspect

from ganeti.errors import Invalid, Problem
from ganeti.model.parameters.declaration import ParameterSet, defaults, plain
from ganeti.schema.parameters import Parameter, parameters
from ganeti.schema.reading import TypeHint, choices, rephrase
from ganeti.schema.shell import split_shell_words
from ganeti.schema.size_units import mebibytes
from ganeti.schema.types import Parameters, Value

DEFAULT = "default"
"""The value that removes a setting, so that the level above applies again."""

_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def checked(
    kind: type[ParameterSet],
    given: Mapping[str, Value],
    *,
    path: str,
    onto: Mapping[str, Value] = {},
    for_one: bool = False,
) -> Parameters:
    """Validate ``given`` and return it merged into ``onto``, the settings so far.

    Text is converted to the parameter's type, a number, truth value or size in MiB; ``none`` means
    no value where that is allowed, and ``default`` removes the setting. ``path`` prefixes the names
    in messages. ``for_one`` is true for a single guest or node, which cannot have parameters that
    are cluster-wide.

    :raises Invalid: with every problem of ``given``.
    """
    known = _known(kind)
    found: list[Problem] = []
    result = dict(onto)
    for alias, value in given.items():
        for name in kind.aliases.get(alias, (alias,)):
            if name not in known:
                found.append(Problem(f"{path}/{alias}", _format_unknown(name, known)))
            elif for_one and known[name].extra.get("shared"):
                found.append(Problem(f"{path}/{alias}", "can only be set for the whole cluster"))
            elif value == DEFAULT:
                result.pop(name, None)
            else:
                try:
                    result[name] = _check_supported(known[name], _convert(kind, known[name], value))
                except Invalid as e:
                    found += [Problem(f"{path}/{alias}{p.path}", p.message) for p in e.problems]
    if found:
        # A name that sets several parameters has the same problem with each.
        raise Invalid(list(dict.fromkeys(found)))
    return result


def validate_with_defaults(
    kind: type[ParameterSet],
    given: Mapping[str, Value],
    above: Mapping[str, Value],
    *,
    path: str,
    onto: Mapping[str, Value] = {},
    for_one: bool = False,
) -> Parameters:
    """Validate ``given`` as ``checked`` does, also in combination with ``above``, its defaults.

    :raises Invalid: with every problem of ``given``, or of the combination.
    """
    found = checked(kind, given, path=path, onto=onto, for_one=for_one)
    check_consistency(kind, {**above, **found}, path=path)
    return found


def check_consistency(kind: type[ParameterSet], filled: Mapping[str, Value], *, path: str) -> None:
    """Check that effective values do not contradict each other.

    :raises Invalid: with every invalid value and every contradiction.
    """
    known = _known(kind)
    checked(kind, {name: value for name, value in filled.items() if name in known}, path=path)
    values = {name: value for name, value in filled.items() if name in known}
    found = msgspec.convert({**defaults(kind), **values}, kind).conflicts()
    if found:
        raise Invalid([Problem(f"{path}/{each.path}", each.message) for each in found])


@functools.cache
def _known(kind: type[ParameterSet]) -> Mapping[str, Parameter]:
    return {each.name: each for each in parameters(kind)}


@functools.cache
def _hints(kind: type[ParameterSet]) -> Mapping[str, TypeHint]:
    hints = get_type_hints(kind, include_extras=True)
    return {each.encode_name: hints[each.name] for each in msgspec.structs.fields(kind)}


def _convert(kind: type[ParameterSet], parameter: Parameter, value: object) -> Value:
    hint = _hints(kind)[parameter.name]
    if isinstance(value, str):
        value = _parse_text(parameter, value)
    try:
        found = plain(msgspec.convert(value, hint))
    except msgspec.ValidationError as e:
        raise Invalid([_translate_error(parameter, hint, e)]) from None
    if parameter.extra.get("shell"):
        # Only checked here; it is split where it is used.
        split_shell_words(found)
    return found


def _check_supported(parameter: Parameter, value: object) -> Value:
    if parameter.extra.get("supported", True) or value == plain(parameter.default):
        return value
    words = f"is not supported by this version: it must stay {_format_value(parameter.default)}"
    if why := parameter.extra.get("why"):
        words += f"; {why}"
    raise Invalid([Problem("", words)])


def _format_value(value: object) -> str:
    """Format a value as users write it."""
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value) or "empty"


def _parse_text(parameter: Parameter, text: str) -> object:
    """Convert ``text`` to the type of ``parameter``, or return it if that is impossible."""
    kinds = parameter.type.types if isinstance(parameter.type, inspect.UnionType) else ()
    if text == "none" and any(isinstance(kind, inspect.NoneType) for kind in kinds):
        return None
    if parameter.extra.get("unit") == "MiB":
        return mebibytes(text)
    if isinstance(parameter.type, inspect.LiteralType):
        return _number(int, text) if text not in parameter.type.values else text
    return _TEXT_PARSERS.get(type(parameter.type), str)(text)


def _number(kind: Callable[[str], object], text: str) -> object:
    try:
        return kind(text)
    except ValueError:
        return text


_TEXT_PARSERS: Mapping[type, Callable[[str], object]] = {
    inspect.BoolType: lambda text: _BOOLEANS.get(text.lower(), text),
    inspect.IntType: functools.partial(_number, int),
    inspect.FloatType: functools.partial(_number, float),
    inspect.VarTupleType: lambda text: [part for part in text.split(",") if part],
}


def _translate_error(
    parameter: Parameter, hint: TypeHint, error: msgspec.ValidationError
) -> Problem:
    if rule := parameter.extra.get("rule"):
        return Problem("", str(rule))
    return Problem(*rephrase(str(error), choices(hint)))


def _format_unknown(name: str, known: Mapping[str, Parameter]) -> str:
    import difflib  # expensive to import, and only needed for misspelt names

    near = difflib.get_close_matches(name, known, n=3)
    if near:
        return f"unknown parameter; did you mean {' or '.join(near)}?"
    return f"unknown parameter; known are {', '.join(known) or 'none'}"
