# SPDX-License-Identifier: BSD-2-Clause
"""Changes to the lists of an instance's disks or network cards, as clients write them.

A change is ``[op, where, parameters]`` with ``where`` an index (-1 is the last), a name or a UUID.
An index may be text: Ganeti's own tools send ``["add", "-1", …]``.
The older form leaves ``where`` out: ``[op, parameters]``, or ``[index, parameters]`` to modify.
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


class ChangeAction(enum.StrEnum):
    """What a change does with an entry of the list."""

    ADD = "add"
    ATTACH = "attach"
    DETACH = "detach"
    MODIFY = "modify"
    REMOVE = "remove"


ListChange: TypeAlias = tuple[Value, ...]
ListChanges: TypeAlias = tuple[Annotated[ListChange, Meta(min_length=2, max_length=3)], ...]


class DeviceChange(NamedTuple):
    """One change: what is done, where, and with which parameters."""

    action: ChangeAction
    where: int | str
    parameters: dict[str, Any]


def changes(
    written: Sequence[Sequence[Any]], keys: Collection[str] = ()
) -> tuple[DeviceChange, ...]:
    """What the changes ``written`` in either form say; only ``keys`` if there are any.

    :raises ValueError: one of them is none; the message says which and why.
    """
    return tuple(_change(number, each, keys) for number, each in enumerate(written))


def _change(number: int, written: Sequence[Any], keys: Collection[str]) -> DeviceChange:
    match list(written):
        case [str(action), int() | str() as where, dict(parameters)] if not _truth(where):
            found = DeviceChange(_action(number, action), _where(where), parameters)
        case [str("add" | "attach" | "detach" | "remove" as action), dict(parameters)]:
            found = DeviceChange(ChangeAction(action), LAST, parameters)
        case [int(index), dict(parameters)] if not _truth(index) and index >= 0:
            found = DeviceChange(ChangeAction.MODIFY, index, parameters)
        case _:
            raise ValueError(f"change {number} must be [action, index or name, parameters]")
    for key, value in found.parameters.items():
        if keys and key not in keys:
            raise ValueError(f"change {number}: {key} is not one of {', '.join(keys)}")
        if not isinstance(value, str | int | None) or _truth(value):
            raise ValueError(f"change {number}: {key} must be text, a number or null")
    return found


def _where(written: int | str) -> int | str:
    return int(written) if isinstance(written, str) and _INDEX.match(written) else written


def _action(number: int, word: str) -> ChangeAction:
    try:
        return ChangeAction(word)
    except ValueError:
        known = ", ".join(ChangeAction)
        raise ValueError(f"change {number}: {word} is not one of {known}") from None


def _truth(value: object) -> bool:
    return isinstance(value, bool)
