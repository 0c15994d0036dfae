# SPDX-License-Identifier: BSD-2-Clause
"""The arguments of list commands: names, patterns of names, or a filter."""

from __future__ import annotations

from collections.abc import Sequence

_FILTER_CHARACTERS = frozenset("\t\n\v\f\r !\"'()/<=>\\~")
_GLOB_CHARACTERS = frozenset("*?")

_MAX_DIGITS = 15
"""The maximum length of a job ID; Python refuses to parse numbers with thousands of digits."""


def build_filter(
    arguments: Sequence[str], *, key: str = "name", forced: bool = False, numbers: bool = False
) -> list[object] | None:
    """Return the filter for command-line arguments; None, which selects all, without arguments.

    A single argument with characters that cannot be part of a name is a filter; with ``forced`` any
    single argument is. With ``numbers``, names are job ids.

    :raises BadFilter: the filter is malformed; or ``forced`` with several arguments.
    """
    if not forced and all(map(is_name, arguments)):
        names = [_parse_name(each, numbers) for each in arguments]
        return ["|", *(["==", key, name] for name in names)] if names else None
    # Imported here: most commands are given plain names and need no filter parser.
    from ganeti.query.filter_parser import parse_filter, translate_glob
    from ganeti.query.filters import BadFilter

    if forced and len(arguments) != 1:
        raise BadFilter("give exactly one filter, quoted as a single argument")
    if forced or (len(arguments) == 1 and _FILTER_CHARACTERS & set(arguments[0])):
        return parse_filter(arguments[0])
    return [
        "|",
        *(
            ["=~", key, translate_glob(each)]
            if _GLOB_CHARACTERS & set(each)
            else ["==", key, _parse_name(each, numbers)]
            for each in arguments
        ),
    ]


def is_name(argument: str) -> bool:
    """Return whether an argument is the name of one object, and no pattern or filter."""
    return not (_FILTER_CHARACTERS | _GLOB_CHARACTERS) & set(argument)


def _parse_name(name: str, number: bool) -> str | int:
    if not number:
        return name
    if not name.isdecimal() or len(name) > _MAX_DIGITS:
        from ganeti.query.filters import BadFilter

        raise BadFilter(f"{name} is not a job id")
    return int(name)
