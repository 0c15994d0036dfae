# SPDX-License-Identifier: BSD-2-Clause
"""Options of commands, and the pure functions that parse their values."""

from __future__ import annotations

import getopt
import math
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from ganeti.errors import GanetiError
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.size_units import mebibytes
from ganeti.schema.types import MAX_INTEGER

MAX_PORT = 65535
MAX_SECONDS = 86400
"""The maximum wait of a tool, in seconds: a day. Jobs have their own limits."""

MAX_SUGGESTIONS = 3


class BadOption(GanetiError):
    """An unknown option, or an option with a malformed value."""


class OptionType(msgspec.Struct, frozen=True):
    """The type of an option's value; ``name`` is its name in the manual pages.

    ``parse`` raises ``ValueError`` or ``GanetiError`` for malformed text; ``choices``, if not
    empty, are all allowed values, ``items`` those of a list. ``keys`` names the parameters whose
    names are keys (``cli/completion/parameter_keys.py`` has them).
    """

    name: str
    metavar: str
    parse: Callable[[str], Any]
    choices: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    keys: str = ""

    def with_keys(self, keys: str) -> OptionType:
        """Return this type for the keys of ``keys``."""
        return msgspec.structs.replace(self, keys=keys)

    def with_items(self, items: Iterable[str]) -> OptionType:
        """Return this type for a list of ``items``."""
        return msgspec.structs.replace(self, items=tuple(items))


class Option(msgspec.Struct, frozen=True):
    """An option: its flags, and the name of its value.

    Without a ``kind`` it takes no value and means ``sets``. With ``many`` it may be repeated, and
    its value is a list. An option of Ganeti that is not implemented is ``unsupported``: it is
    rejected with this reason. An option that changes what the positional arguments are ``selects``
    their kind: ``node``, or ``tag of node``. The ``metavar`` is the kind of word that the value is,
    in capitals, as in ``Positional``.
    """

    flags: tuple[str, ...]
    name: str
    doc: str
    kind: OptionType | None = None
    sets: object = True
    many: bool = False
    metavar: str = ""
    unsupported: str = ""
    selects: str = ""

    @property
    def shape(self) -> str:
        """The option as help texts and manual pages show it."""
        flags = ", ".join(self.flags)
        if self.kind is None:
            return flags
        sign = "=" if self.flags[-1].startswith("--") else " "
        return f"{flags}{sign}{self.metavar or self.kind.metavar}"

    def value(self, flag: str, text: str) -> object:
        """Parse ``text``, which was given with ``flag``.

        :raises BadOption: if the text is malformed, or the option is not supported.
        """
        if self.unsupported:
            raise BadOption(f"{flag} is not supported by this version: {self.unsupported}")
        if self.kind is None:
            return self.sets
        try:
            return self.kind.parse(text)
        except (ValueError, GanetiError) as e:
            raise BadOption(f"{flag} {text}: {e}") from None


def unsupported(flags: str, reason: str, kind: OptionType | None = None) -> Option:
    """Return an option of Ganeti that is rejected with ``reason``; its flags separated by
    spaces."""
    doc = f"Not supported: {reason}."
    return Option(tuple(flags.split()), flags.split()[-1], doc, kind, unsupported=reason)


# --- parsers


def split_escaped(text: str, separator: str = ",") -> list[str]:
    """Split ``text`` at each separator; a backslash escapes the next character."""
    parts = [""]
    characters = iter(text)
    for each in characters:
        if each == "\\":
            parts[-1] += next(characters, "\\")
        elif each == separator:
            parts.append("")
        else:
            parts[-1] += each
    return parts


def split_list(text: str) -> list[str]:
    """Split ``text`` at commas, without empty parts."""
    return [part for part in split_escaped(text) if part]


def parse_key_values(text: str) -> dict[str, object]:
    """Parse ``key=value,…``; a key alone is true, ``no_key`` false, ``-key`` null."""
    found: dict[str, object] = {}
    for part in split_list(text):
        key, value = _parse_assignment(part)
        if not key:
            raise ValueError(f"'{part}' must be key=value")
        if key in found:
            raise ValueError(f"{key} is given twice")
        found[key] = value
    return found


def _parse_assignment(part: str) -> tuple[str, object]:
    key, given, value = part.partition("=")
    if given:
        return key, value
    if part.startswith("no_"):
        return part[3:], False
    if part.startswith("-"):
        return part[1:], None
    return part, True


def parse_ident_key_values(text: str) -> tuple[str, dict[str, object] | bool | None]:
    """Parse ``ident:key=value,…``; ``no_ident`` means removal, ``-ident`` the default.

    The latter two return False and None in place of the values. ``-1`` is an index, however.
    """
    ident, _, rest = text.partition(":")
    value: dict[str, object] | bool | None = parse_key_values(rest)
    if ident.startswith("no_"):
        ident, value = ident[3:], False
    elif ident.startswith("-") and not ident[1:2].isdigit():
        ident, value = ident[1:], None
    if not ident:
        raise ValueError("must be name:key=value,…")
    if rest and not isinstance(value, dict):
        raise ValueError(f"no values are allowed for {ident}")
    return ident, value


def limits(text: str) -> list[dict[str, dict[str, object] | bool | None]]:
    """Parse ``min:key=value,…/max:key=value,…``; alternatives are separated by ``//``."""
    return [dict(map(parse_ident_key_values, each.split("/"))) for each in text.split("//") if each]


def parse_boolean(text: str) -> bool:
    """Parse yes or no."""
    found = _TRUTH.get(text.lower())
    if found is None:
        raise ValueError("must be yes or no")
    return found


_TRUTH = {**dict.fromkeys(("yes", "true"), True), **dict.fromkeys(("no", "false"), False)}


def whole(text: str) -> int:
    """Parse a whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be a whole number") from None


MAX_DIGITS = 15
"""The maximum length of the number of an object; all such numbers are exact in JSON."""


def natural(text: str) -> int:
    """Parse the number of an object, such as a disk or a job: digits only."""
    # Python refuses to parse numbers with thousands of digits.
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise ValueError(f"must be a number of at most {MAX_DIGITS} digits")
    return int(text)


def number(text: str) -> float:
    """Parse a finite number."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ValueError("must be a number")
    return found


def count(text: str) -> int:
    """Parse a positive whole number."""
    found = whole(text)
    if not 1 <= found <= MAX_INTEGER:
        raise ValueError(f"must be a whole number from 1 to {MAX_INTEGER}")
    return found


def seconds(text: str) -> float:
    """Parse a duration in seconds."""
    found = number(text)
    if not 0 <= found <= MAX_SECONDS:
        raise ValueError(f"must be a number of seconds from 0 to {MAX_SECONDS}")
    return found


def address(text: str) -> str:
    """Parse an IPv4 or IPv6 address."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, text))
        except (OSError, UnicodeError):
            continue
    raise ValueError("must be an address such as 192.0.2.1")


def parse_whole_seconds(text: str) -> int:
    """Parse a duration in whole seconds."""
    found = whole(text)
    if not 0 <= found <= MAX_SECONDS:
        raise ValueError(f"must be a whole number of seconds from 0 to {MAX_SECONDS}")
    return found


def parse_port(text: str) -> int:
    """Parse a TCP port."""
    found = whole(text)
    if not 1 <= found <= MAX_PORT:
        raise ValueError(f"must be a port from 1 to {MAX_PORT}")
    return found


def parse_number_or_default(text: str) -> float | str:
    """Parse a number, or the word ``default``."""
    return text if text == "default" else number(text)


MAX_DURATION = 3650 * 86400
"""Ten years: more is probably a mistake, and yields dates that cannot be displayed."""
_MAX_DIGITS = 12


def duration(text: str) -> int:
    """Parse seconds, or a number of minutes, hours, days or weeks, as in 90, 30m, 4h, 1d, 2w."""
    factor = _SECONDS.get(text[-1:].lower())
    digits = text if factor is None else text[:-1]
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"'{text}' must be a number with s, m, h, d or w, such as 30m")
    # Python refuses to parse numbers with thousands of digits.
    found = int(digits[:_MAX_DIGITS]) * (factor or 1)
    if len(digits) > _MAX_DIGITS or found > MAX_DURATION:
        raise ValueError(f"'{text}' is longer than {MAX_DURATION // 86400} days")
    return found


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_uid_ranges(text: str) -> list[list[int]]:
    """Parse ``first-last`` ranges or single numbers, separated by commas."""
    found = []
    for part in split_list(text):
        first, _, last = part.partition("-")
        found.append([whole(first), whole(last or first)])
    return found


def parse_json(text: str) -> object:
    """Parse JSON."""
    try:
        return msgspec.json.decode(text)
    except UNREADABLE as e:
        raise ValueError(f"invalid JSON: {e}") from None


def choice(given: Iterable[str]) -> OptionType:
    """Return the type of an option that takes one of the words."""
    values = tuple(given)

    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(f"must be one of {', '.join(values)}")
        return text

    return OptionType("choice", "|".join(values), parse, values)


TEXT = OptionType("string", "TEXT", str)
NAME = OptionType("string", "NAME", str)
INT = OptionType("int", "N", whole)
COUNT = OptionType("int", "N", count)
PORT = OptionType("int", "PORT", parse_port)
ADDRESS = OptionType("string", "ADDRESS", address)
WHOLE_SECONDS = OptionType("int", "SECONDS", parse_whole_seconds)
SECONDS = OptionType("float", "SECONDS", seconds)
FLOAT = OptionType("float", "NUMBER", number)
MAYBE_FLOAT = OptionType("maybefloat", "NUMBER|default", parse_number_or_default)
UNIT = OptionType("unit", "SIZE", mebibytes)
BOOL = OptionType("bool", "yes|no", parse_boolean)
LIST = OptionType("list", "WORD,…", split_list)
KEYVAL = OptionType("keyval", "KEY=VALUE,…", parse_key_values)
PRIVATE = OptionType("keyprivateval", "KEY=VALUE,…", parse_key_values)
IDENTKEYVAL = OptionType("identkeyval", "NAME:KEY=VALUE,…", parse_ident_key_values)
LIMITS = OptionType("multilistidentkeyval", "min:KEY=VALUE,…/max:KEY=VALUE,…", limits)
JSON = OptionType("json", "JSON", parse_json)
RANGES = OptionType("string", "FIRST-LAST,…", parse_uid_ranges)

INFERRED = OptionType("inferred", "", str)
"""Replaced by the type that follows from the field of the opcode."""

PRIORITIES = {"low": 10, "normal": 0, "high": -10}
PRIORITY = OptionType(
    "choice",
    "low|normal|high",
    lambda text: PRIORITIES[choice(tuple(PRIORITIES)).parse(text)],
    tuple(PRIORITIES),
)


# --- parsing of command lines


def parse(
    options: Sequence[Option], words: Sequence[str], *, mixed: bool = True
) -> tuple[dict[str, Any], list[str]]:
    """Return the values of the given options by name, and the positional arguments.

    Long options may be abbreviated to any unambiguous prefix. Unless ``mixed``, the first
    positional argument ends the options, as ``--`` always does.

    :raises BadOption: with the problem, and a suggestion if there is one.
    """
    by_flag = {flag: option for option in options for flag in option.flags}
    short = "".join(
        flag[1] + (":" if option.kind else "")
        for flag, option in by_flag.items()
        if not flag.startswith("--")
    )
    long = [
        flag[2:] + ("=" if option.kind else "")
        for flag, option in by_flag.items()
        if flag.startswith("--")
    ]
    read = getopt.gnu_getopt if mixed else getopt.getopt
    try:
        given, rest = read(list(words), short, long)
    except getopt.GetoptError as e:
        raise BadOption(_explain_error(e.msg, e.opt, by_flag)) from None
    values: dict[str, Any] = {}
    for flag, text in given:
        option = by_flag[flag]
        value = option.value(flag, text)
        if option.many:
            values.setdefault(option.name, []).append(value)
        else:
            values[option.name] = _join(flag, values.get(option.name), value)
    return values, rest


def _join(flag: str, before: object, value: object) -> object:
    """Return the value of an option that is given again: settings by name come together.

    :raises BadOption: they contradict each other.
    """
    match before, value:
        case dict(), dict():
            if twice := sorted(before.keys() & value.keys()):
                raise BadOption(f"option {flag}: {twice[0]} is given twice")
            return {**before, **value}
        case (str() as ident, dict() as settings), (str() as other, dict()):
            if ident != other:
                raise BadOption(f"option {flag}: {ident} and {other} exclude each other")
            return ident, _join(flag, settings, value[1])
    return value


def _explain_error(message: str, given: str, by_flag: dict[str, Option]) -> str:
    flag = f"--{given}" if len(given) > 1 else f"-{given}"
    if "not recognized" not in message:
        return message
    # Imported here, as only errors need it.
    import difflib

    near = difflib.get_close_matches(flag, by_flag, n=MAX_SUGGESTIONS) if len(given) > 1 else []
    hint = f"; did you mean {' or '.join(near)}?" if near else "; see --help"
    return f"unknown option {flag}{hint}"
