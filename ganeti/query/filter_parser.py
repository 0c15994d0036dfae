# SPDX-License-Identifier: BSD-2-Clause
"""The parser of filters as administrators write them: ``pnode == "node1" and not oper_state``.

``not`` binds tighter than ``and``, which binds tighter than ``or``. A condition is a boolean field,
``field == value`` (also ``!= < <= > >=``), ``value in field``, ``value not in field``, ``field =~
/regex/i`` (``!~``), or ``field =* "glob"`` (``!*``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ganeti.query.filters import MAX_DEPTH, BadFilter, too_deep

_SPACE = re.compile(r"\s*")
_FIELD = re.compile(r"[A-Za-z][\w/.]*", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?![\w.])")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_REGEX = re.compile(
    r"m?(?P<d>[/#^|])(?P<text>(?:\\.|(?!(?P=d))[^\\])*)(?P=d)(?P<flags>[si]*)", re.S
)
_OPERATOR = re.compile(r"==|!=|<=|>=|=~|!~|=\*|!\*|=|<|>")
_RESERVED = frozenset({"and", "or", "not", "in"})


def parse_filter(text: str) -> list[object]:
    """Return the filter in ``text`` in its wire form.

    :raises BadFilter: the text is not a filter; the message has the column of the error.
    """
    reader = _Scanner(text)
    found = _parse_or(reader, 1)
    if reader.rest:
        raise reader.wrong("and, or, or the end of the filter")
    return found


def translate_glob(glob: str) -> str:
    """Return a regular expression for names that match ``glob``; their domain is optional."""
    parts = {"*": ".*", "?": "."}
    return "^" + "".join(parts.get(each) or re.escape(each) for each in glob) + r"(\..*)?$"


class _Scanner:
    """A text that is scanned from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip()

    @property
    def rest(self) -> str:
        """The next characters, for error messages."""
        return self._text[self._at : self._at + 20]

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Match ``pattern`` at the current position, and advance if it matches."""
        found = pattern.match(self._text, self._at)
        if found:
            self._at = found.end()
            self._skip()
        return found

    def word(self, *words: str) -> bool:
        """Advance if the next word is one of these; return whether it is."""
        found = _FIELD.match(self._text, self._at)
        return bool(found and found[0] in words and self.take(_FIELD))

    def sign(self, sign: str) -> bool:
        """Advance if ``sign`` is next; return whether it is."""
        return bool(
            self._text.startswith(sign, self._at) and self.take(re.compile(re.escape(sign)))
        )

    def name(self) -> str | None:
        """Return the next word and advance, unless it is a reserved word."""
        found = _FIELD.match(self._text, self._at)
        if not found or found[0] in _RESERVED:
            return None
        self.take(_FIELD)
        return found[0]

    def wrong(self, expected: str) -> BadFilter:
        where = f"at column {self._at + 1}" + (f", before {self.rest}" if self.rest else "")
        return BadFilter(f"syntax error in the filter {where}: expected {expected}")

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        assert found is not None
        self._at = found.end()


def _parse_or(reader: _Scanner, depth: int) -> list[object]:
    return _parse_joined(reader, depth, "or", "|", _parse_and)


def _parse_and(reader: _Scanner, depth: int) -> list[object]:
    return _parse_joined(reader, depth, "and", "&", _parse_not)


def _parse_joined(
    reader: _Scanner,
    depth: int,
    word: str,
    operator: str,
    part: Callable[[_Scanner, int], list[object]],
) -> list[object]:
    parts = [part(reader, depth)]
    while reader.word(word):
        parts.append(part(reader, depth))
    return parts[0] if len(parts) == 1 else [operator, *parts]


def _parse_not(reader: _Scanner, depth: int) -> list[object]:
    if depth > MAX_DEPTH // 2:
        raise too_deep(MAX_DEPTH // 2)
    if reader.word("not"):
        return ["!", _parse_not(reader, depth + 1)]
    if not reader.sign("("):
        return _parse_condition(reader)
    inner = _parse_or(reader, depth + 1)
    if not reader.sign(")"):
        raise reader.wrong("and, or, or )")
    return inner


def _parse_condition(reader: _Scanner) -> list[object]:
    value = _parse_value(reader)
    if value is not None:
        return _parse_membership(reader, value.value)
    name = reader.name()
    if name is None:
        raise reader.wrong("a field, a value or (")
    found = reader.take(_OPERATOR)
    if found is None:
        return ["?", name]
    negated, plain = found[0] in ("!~", "!*"), found[0].replace("!~", "=~").replace("!*", "=*")
    condition: list[object] = [
        plain if plain != "=*" else "=~",
        name,
        _parse_operand(reader, plain),
    ]
    return ["!", condition] if negated else condition


def _parse_operand(reader: _Scanner, operator: str) -> str | int:
    if operator == "=~":
        return _parse_regex(reader)
    value = _parse_value(reader)
    if value is None or (operator == "=*" and not isinstance(value.value, str)):
        raise reader.wrong("text in quotes" + ("" if operator == "=*" else " or a whole number"))
    return translate_glob(str(value.value)) if operator == "=*" else value.value


def _parse_membership(reader: _Scanner, value: str | int) -> list[object]:
    negated = reader.word("not")
    if not reader.word("in"):
        raise reader.wrong("in and a field")
    name = reader.name()
    if name is None:
        raise reader.wrong("a field")
    condition: list[object] = ["=[]", name, value]
    return ["!", condition] if negated else condition


@dataclass(frozen=True)
class _Value:
    value: str | int


def _parse_value(reader: _Scanner) -> _Value | None:
    if found := reader.take(_QUOTED):
        return _Value(re.sub(r"\\(.)", r"\1", found[0][1:-1], flags=re.DOTALL))
    if found := reader.take(_NUMBER):
        return _Value(int(found[0]))
    return None


def _parse_regex(reader: _Scanner) -> str:
    found = reader.take(_REGEX)
    if found is None:
        raise reader.wrong("a regular expression such as /text/")
    text = found["text"].replace("\\" + found["d"], found["d"])
    flags = "".join(sorted(set(found["flags"])))
    return f"(?{flags}){text}" if flags else text
