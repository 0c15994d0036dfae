# SPDX-License-Identifier: BSD-2-Clause
"""Filters as administrators write them: ``pnode == "node1" and not oper_state``.

``not`` binds tighter than ``and``, and that tighter than ``or``. A condition is a field of truth
alone, ``field == value`` (also ``!= < <= > >=``), ``value in field``, ``value not in field``,
``field =~ /regex/i`` (``!~``), or ``field =* "glob"`` (``!*``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ganeti.query.filters import MAX_DEPTH, BadFilter

_SPACE = re.compile(r"\s*")
_FIELD = re.compile(r"[A-Za-z][\w/.]*", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?![\w.])")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_REGEX = re.compile(
    r"m?(?P<d>[/#^|])(?P<text>(?:\\.|(?!(?P=d))[^\\])*)(?P=d)(?P<flags>[si]*)", re.S
)
_OPERATOR = re.compile(r"==|!=|<=|>=|=~|!~|=\*|!\*|=|<|>")
_RESERVED = frozenset({"and", "or", "not", "in"})


def parse_filter(text: str) -> list[Any]:
    """The filter that ``text`` says, as it goes over the wire.

    :raises BadFilter: it is not a filter; the message says where it stops being one.
    """
    reader = _Reader(text)
    found = _either(reader, 1)
    if reader.rest:
        raise reader.wrong("and, or, or the end of the filter")
    return found


def glob_pattern(glob: str) -> str:
    """The regular expression for names that fit ``glob``, whose domain may be left out."""
    parts = {"*": ".*", "?": "."}
    return "^" + "".join(parts.get(each) or re.escape(each) for each in glob) + r"(\..*)?$"


class _Reader:
    """A text, read from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip()

    @property
    def rest(self) -> str:
        """What begins here, in a few characters."""
        return self._text[self._at : self._at + 20]

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """The match of ``pattern`` here, if it does match, and go on behind it."""
        found = pattern.match(self._text, self._at)
        if found:
            self._at = found.end()
            self._skip()
        return found

    def word(self, *words: str) -> bool:
        """Go on behind the next word if it is one of these."""
        found = _FIELD.match(self._text, self._at)
        return bool(found and found[0] in words and self.take(_FIELD))

    def sign(self, sign: str) -> bool:
        """Go on behind ``sign`` if it is next."""
        return bool(
            self._text.startswith(sign, self._at) and self.take(re.compile(re.escape(sign)))
        )

    def name(self) -> str | None:
        """The next word, unless it is one of the language's own."""
        found = _FIELD.match(self._text, self._at)
        if not found or found[0] in _RESERVED:
            return None
        self.take(_FIELD)
        return found[0]

    def wrong(self, expected: str) -> BadFilter:
        where = f"at column {self._at + 1}" + (f", before {self.rest}" if self.rest else "")
        return BadFilter(f"the filter is wrong {where}: expected {expected}")

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        assert found is not None
        self._at = found.end()


def _either(reader: _Reader, depth: int) -> list[Any]:
    return _joined(reader, depth, "or", "|", _both)


def _both(reader: _Reader, depth: int) -> list[Any]:
    return _joined(reader, depth, "and", "&", _negated)


def _joined(
    reader: _Reader,
    depth: int,
    word: str,
    operator: str,
    part: Callable[[_Reader, int], list[Any]],
) -> list[Any]:
    parts = [part(reader, depth)]
    while reader.word(word):
        parts.append(part(reader, depth))
    return parts[0] if len(parts) == 1 else [operator, *parts]


def _negated(reader: _Reader, depth: int) -> list[Any]:
    if depth > MAX_DEPTH // 2:
        raise BadFilter(f"a filter may be nested {MAX_DEPTH // 2} deep")
    if reader.word("not"):
        return ["!", _negated(reader, depth + 1)]
    if not reader.sign("("):
        return _condition(reader)
    inner = _either(reader, depth + 1)
    if not reader.sign(")"):
        raise reader.wrong("and, or, or )")
    return inner


def _condition(reader: _Reader) -> list[Any]:
    value = _value(reader)
    if value is not None:
        return _membership(reader, value.value)
    name = reader.name()
    if name is None:
        raise reader.wrong("a field, a value or (")
    found = reader.take(_OPERATOR)
    if found is None:
        return ["?", name]
    negated, plain = found[0] in ("!~", "!*"), found[0].replace("!~", "=~").replace("!*", "=*")
    condition = [plain if plain != "=*" else "=~", name, _operand(reader, plain)]
    return ["!", condition] if negated else condition


def _operand(reader: _Reader, operator: str) -> str | int:
    if operator == "=~":
        return _regex(reader)
    value = _value(reader)
    if value is None or (operator == "=*" and not isinstance(value.value, str)):
        raise reader.wrong("text in quotes" + ("" if operator == "=*" else " or a whole number"))
    return glob_pattern(str(value.value)) if operator == "=*" else value.value


def _membership(reader: _Reader, value: str | int) -> list[Any]:
    negated = reader.word("not")
    if not reader.word("in"):
        raise reader.wrong("in and a field")
    name = reader.name()
    if name is None:
        raise reader.wrong("a field")
    condition = ["=[]", name, value]
    return ["!", condition] if negated else condition


@dataclass(frozen=True)
class _Value:
    value: str | int


def _value(reader: _Reader) -> _Value | None:
    if found := reader.take(_QUOTED):
        return _Value(re.sub(r"\\(.)", r"\1", found[0][1:-1], flags=re.DOTALL))
    if found := reader.take(_NUMBER):
        return _Value(int(found[0]))
    return None


def _regex(reader: _Reader) -> str:
    found = reader.take(_REGEX)
    if found is None:
        raise reader.wrong("a regular expression such as /text/")
    text = found["text"].replace("\\" + found["d"], found["d"])
    flags = "".join(sorted(set(found["flags"])))
    return f"(?{flags}){text}" if flags else text
