# SPDX-License-Identifier: BSD-2-Clause
"""Reading the parameters that users give, from JSON or as text, with every problem at once."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

import msgspec
from msgspec import inspect

from ganeti.errors import Invalid, Problem
from ganeti.model.parameters.declaration import ParameterSet, defaults, plain
from ganeti.schema.parameters import Parameter, parameters
from ganeti.schema.reading import choices, phrased
from ganeti.schema.shell import shell_words
from ganeti.schema.types import Parameters
from ganeti.schema.units import mebibytes

DEFAULT = "default"
"""Given as a value: what was set goes, and the coarser level holds again."""

_TRUTH = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def checked(
    kind: type[ParameterSet],
    given: Mapping[str, Any],
    *,
    path: str,
    onto: Mapping[str, Any] = {},
    for_one: bool = False,
) -> Parameters:
    """What is set once ``given`` has been applied to what was set before, ``onto``.

    Text stands for the number, truth value or size that it spells, ``none`` for no value where
    there may be none, and ``default`` unsets. ``path`` goes before the names in messages.
    ``for_one`` says that this is for a single guest or node, for which some cannot be set.

    :raises Invalid: with every problem of ``given``.
    """
    known = _known(kind)
    found: list[Problem] = []
    result = dict(onto)
    for alias, value in given.items():
        for name in kind.aliases.get(alias, (alias,)):
            if name not in known:
                found.append(Problem(f"{path}/{alias}", _unknown(name, known)))
            elif for_one and known[name].extra.get("shared"):
                found.append(Problem(f"{path}/{alias}", "can only be set for the whole cluster"))
            elif value == DEFAULT:
                result.pop(name, None)
            else:
                try:
                    result[name] = _supported(known[name], _value(kind, known[name], value))
                except Invalid as e:
                    found += [Problem(f"{path}/{alias}{p.path}", p.message) for p in e.problems]
    if found:
        # A name that sets several parameters has the same problem with each.
        raise Invalid(list(dict.fromkeys(found)))
    return result


def with_defaults(
    kind: type[ParameterSet],
    given: Mapping[str, Any],
    above: Mapping[str, Any],
    *,
    path: str,
    onto: Mapping[str, Any] = {},
    for_one: bool = False,
) -> Parameters:
    """``checked``, and it goes together with what holds where nothing is set, ``above``.

    :raises Invalid: with every problem of ``given``, or of what it leads to.
    """
    found = checked(kind, given, path=path, onto=onto, for_one=for_one)
    consistent(kind, {**above, **found}, path=path)
    return found


def consistent(kind: type[ParameterSet], filled: Mapping[str, Any], *, path: str) -> None:
    """Check that values, all filled in, go together.

    :raises Invalid: with everything that does not, or that is no valid value by itself.
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
def _hints(kind: type[ParameterSet]) -> Mapping[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {each.encode_name: hints[each.name] for each in msgspec.structs.fields(kind)}


def _value(kind: type[ParameterSet], parameter: Parameter, value: Any) -> Any:
    hint = _hints(kind)[parameter.name]
    if isinstance(value, str):
        value = _spelt(parameter, value)
    try:
        found = plain(msgspec.convert(value, hint))
    except msgspec.ValidationError as e:
        raise Invalid([_problem(parameter, hint, e)]) from None
    if parameter.extra.get("shell"):
        shell_words(found)
    return found


def _supported(parameter: Parameter, value: Any) -> Any:
    if parameter.extra.get("supported", True) or value == plain(parameter.default):
        return value
    words = f"is not supported by this version: it must stay {_shown(parameter.default)}"
    raise Invalid([Problem("", words)])


def _shown(value: Any) -> str:
    """A value as users write it."""
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value) or "empty"


def _spelt(parameter: Parameter, text: str) -> Any:
    """The value that ``text`` spells for ``parameter``; itself where it spells none."""
    kinds = parameter.type.types if isinstance(parameter.type, inspect.UnionType) else ()
    if text == "none" and any(isinstance(kind, inspect.NoneType) for kind in kinds):
        return None
    if parameter.extra.get("unit") == "MiB":
        return mebibytes(text)
    if isinstance(parameter.type, inspect.LiteralType):
        return _number(int, text) if text not in parameter.type.values else text
    return _SPELT.get(type(parameter.type), str)(text)


def _number(kind: Callable[[str], Any], text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        return text


_SPELT: Mapping[type, Callable[[str], Any]] = {
    inspect.BoolType: lambda text: _TRUTH.get(text.lower(), text),
    inspect.IntType: functools.partial(_number, int),
    inspect.FloatType: functools.partial(_number, float),
    inspect.VarTupleType: lambda text: [part for part in text.split(",") if part],
}


def _problem(parameter: Parameter, hint: Any, error: msgspec.ValidationError) -> Problem:
    if rule := parameter.extra.get("rule"):
        return Problem("", str(rule))
    return Problem(*phrased(str(error), choices(hint)))


def _unknown(name: str, known: Mapping[str, Parameter]) -> str:
    import difflib  # only where somebody has mistyped

    near = difflib.get_close_matches(name, known, n=3)
    if near:
        return f"unknown parameter; did you mean {' or '.join(near)}?"
    return f"unknown parameter; known are {', '.join(known) or 'none'}"
