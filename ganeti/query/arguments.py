# SPDX-License-Identifier: BSD-2-Clause
"""What the arguments of a listing command ask for: names, patterns of names, or a filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_OF_FILTERS = frozenset("\t\n\v\f\r !\"'()/<=>\\~")
_OF_GLOBS = frozenset("*?")


def filter_from(
    arguments: Sequence[str], *, key: str = "name", forced: bool = False, numbers: bool = False
) -> list[Any] | None:
    """The filter that arguments mean; None, for everything, if there are none.

    A single argument with characters that no name has is a filter; with ``forced`` it is one
    whatever it has. With ``numbers`` names are job ids.

    :raises BadFilter: it is not; or ``forced``, and there are several.
    """
    if not forced and all(map(is_name, arguments)):
        names = [_named(each, numbers) for each in arguments]
        return ["|", *(["==", key, name] for name in names)] if names else None
    # Only who writes filters needs what reads them; plain names are what is asked for most.
    from ganeti.query.filters import BadFilter
    from ganeti.query.text import glob_pattern, parse_filter

    if forced and len(arguments) != 1:
        raise BadFilter("give exactly one filter, in quotes")
    if forced or (len(arguments) == 1 and _OF_FILTERS & set(arguments[0])):
        return parse_filter(arguments[0])
    return [
        "|",
        *(
            ["=~", key, glob_pattern(each)]
            if _OF_GLOBS & set(each)
            else ["==", key, _named(each, numbers)]
            for each in arguments
        ),
    ]


def is_name(argument: str) -> bool:
    """Return whether an argument is the name of one object, and no pattern or filter."""
    return not (_OF_FILTERS | _OF_GLOBS) & set(argument)


def _named(name: str, number: bool) -> Any:
    if not number:
        return name
    if not name.isdecimal():
        from ganeti.query.filters import BadFilter

        raise BadFilter(f"{name} is not a job id")
    return int(name)
