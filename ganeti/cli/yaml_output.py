# SPDX-License-Identifier: BSD-2-Clause
"""Nested values as YAML, for scripts and people.

Ganeti's ``info`` commands print YAML too, so scripts read this output with the same parser.
Booleans are ``True`` and ``False``; null, empty texts and empty lists are left blank.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NEEDS_QUOTES = re.compile(
    r"""
    [-?:,\[\]{}\#&*!|>'"%@`\s]        # begins with an indicator of YAML
    | .*(?: :\s | :\Z | \s\# | \s\Z)  # would be a key, a comment, or lose its last space
    | (?: yes | no | on | off | y | n | true | false | null | ~ | = | << | \.\.\. ) \Z
    | [-+]? (?: \d[\d_]* (?: :\d{1,2} )* )? \.? [\d_]* (?: e [-+]?\d+ )? \Z  # 1.5, 1e3, 52:54:00
    | [-+]? (?: 0[box][\da-f_]+ | \.inf | \.nan ) \Z
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Text that a parser of YAML 1.1 or 1.2 would not read as this text; dates are read as dates."""


def yaml_lines(value: object, depth: int = 0) -> Iterator[str]:
    """Yield the lines of a value that is made of JSON types."""
    indent = "  " * depth
    if isinstance(value, dict):
        for name, inner in value.items():
            label = f"{indent}{_format_text(name) or _quote(name)}:"
            if isinstance(inner, dict | list) and inner:
                yield label
                yield from yaml_lines(inner, depth + 1)
            else:
                yield f"{label} {_format_scalar(inner)}".rstrip()
    elif isinstance(value, list | tuple):
        for inner in value:
            first, *rest = (
                yaml_lines(inner, depth + 1) if inner else [indent + _format_scalar(inner)]
            )
            yield f"{indent}- {first.lstrip()}".rstrip()
            yield from rest
    else:
        yield indent + _format_scalar(value)


def _format_scalar(value: object) -> str:
    if value is None or (isinstance(value, dict | list | tuple) and not value):
        return ""
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float):
        # Without a decimal point, parsers of YAML 1.1 would read text.
        text = repr(value)
        return text if "." in text else text.replace("e", ".0e")
    return _format_text(str(value))


def _format_text(text: str) -> str:
    plain = text.isprintable() and not (text and _NEEDS_QUOTES.match(text))
    return text if plain else _quote(text)


def _quote(text: str) -> str:
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(map(_escape, text)) + '"'


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def with_roman_numerals(value: object) -> object:
    """Return the value with whole numbers as Roman numerals where there are any."""
    match value:
        case dict():
            return {name: with_roman_numerals(held) for name, held in value.items()}
        case list() | tuple():
            return [with_roman_numerals(held) for held in value]
        case int() if not isinstance(value, bool) and 0 < value < _NO_NUMERAL:
            return _to_roman(value)
    return value


_NUMERALS = (
    *((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L")),
    *((40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")),
)
_NO_NUMERAL = 4000


def _to_roman(number: int) -> str:
    text = ""
    for value, numeral in _NUMERALS:
        text += numeral * (number // value)
        number %= value
    return text
