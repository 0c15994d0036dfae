# SPDX-License-Identifier: BSD-2-Clause
"""Parser for changes of an instance's disks or network cards.

A change is ``[action, where, parameters]`` with ``where`` an index (-1 is the last), name or UUID.
An index may be text: Ganeti's tools send ``["add", "-1", …]``. The older form has no ``where``:
``[action, parameters]``, or ``[index, parameters]`` to modify.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Sequence
from typing import Annotated, Any, NamedTuple, TypeAlias

from msgspec import Meta

from ganeti.schema.types import Value

LAST = -1

_INDEX = re.compile(r"\A-?[0-9]{1,9}\Z")


_SWITCHES = frozenset({"anti_spoofing"})
"""The parameters that are true or false; ``true`` is no number for any other."""


class ChangeAction(enum.StrEnum):
    """The action of a change."""

    ADD = "add"
    ATTACH = "attach"
    DETACH = "detach"
    MODIFY = "modify"
    REMOVE = "remove"


ListChange: TypeAlias = tuple[Value, ...]
ListChanges: TypeAlias = tuple[Annotated[ListChange, Meta(min_length=2, max_length=3)], ...]


class DeviceChange(NamedTuple):
    """A change: its action, the device, and the parameters."""

    action: ChangeAction
    where: int | str
    parameters: dict[str, Any]


def changes(
    written: Sequence[Sequence[Any]], keys: Collection[str] = ()
) -> tuple[DeviceChange, ...]:
    """Parse changes in either form; ``keys`` are the allowed parameters, empty for any.

    :raises ValueError: a change is malformed; the message has its number and the reason.
    """
    return tuple(_parse_change(number, each, keys) for number, each in enumerate(written))


def _parse_change(number: int, written: Sequence[Any], keys: Collection[str]) -> DeviceChange:
    match list(written):
        case [str(action), int() | str() as where, dict(parameters)] if not _is_bool(where):
            found = DeviceChange(_parse_action(number, action), _parse_where(where), parameters)
        case [str("add" | "attach" | "detach" | "remove" as action), dict(parameters)]:
            found = DeviceChange(ChangeAction(action), LAST, parameters)
        case [int(index), dict(parameters)] if not _is_bool(index) and index >= 0:
            found = DeviceChange(ChangeAction.MODIFY, index, parameters)
        case _:
            raise ValueError(f"change {number} must be [action, index or name, parameters]")
    for key, value in found.parameters.items():
        if keys and key not in keys:
            raise ValueError(
                f"change {number}: unknown parameter {key}; known are {', '.join(keys)}"
            )
        if key in _SWITCHES and _is_bool(value):
            continue
        if not isinstance(value, str | int | None) or _is_bool(value):
            raise ValueError(f"change {number}: {key} must be text, a number or null")
    return found


def _parse_where(written: int | str) -> int | str:
    return int(written) if isinstance(written, str) and _INDEX.match(written) else written


def _parse_action(number: int, word: str) -> ChangeAction:
    try:
        return ChangeAction(word)
    except ValueError:
        known = ", ".join(ChangeAction)
        raise ValueError(f"change {number}: unknown action {word}; known are {known}") from None


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)
