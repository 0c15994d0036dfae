# SPDX-License-Identifier: BSD-2-Clause
"""Encoding of opcodes as JSON objects for the wire, for storage, and for display."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeAlias

import msgspec

from ganeti.opcodes.opcode import Opcode, op_id

REDACTED = "<redacted>"

_NULLABLE_ON_WIRE = frozenset({"depends", "comment"})


class Secrecy(enum.Enum):
    """The secrecy of a parameter: private ones are stored but not shown, secret ones neither."""

    PRIVATE = "private"
    SECRET = "secret"


Treatment: TypeAlias = Callable[[Secrecy, object], object]


def to_wire(opcode: Opcode) -> dict[str, Any]:
    """Encode an opcode for its receiver, with secrets.

    Null parameters are omitted, except ``depends`` and ``comment``, as Ganeti's encoder does.
    """
    return _encode(opcode, {}, lambda _, value: value)


def redact(opcode: Opcode) -> dict[str, object]:
    """Encode an opcode for display; private and secret values are redacted, their keys stay."""
    return _encode(opcode, get_secrecy(type(opcode)), lambda _, value: _redact_value(value))


def to_storage(opcode: Opcode) -> dict[str, object]:
    """Encode an opcode for storage on disk, without secret parameters."""
    return _encode(
        opcode,
        get_secrecy(type(opcode)),
        lambda how, value: None if how is Secrecy.SECRET else value,
    )


@cache
def get_secrecy(kind: type[Opcode]) -> Mapping[str, Secrecy]:
    """Return the private and secret parameters of ``kind``."""
    # Imported here, because tools that only send opcodes do not need it.
    from ganeti.schema.parameters import parameters

    return {
        each.name: how for each in parameters(kind) for how in Secrecy if each.extra.get(how.value)
    }


def _encode(
    opcode: Opcode, hidden: Mapping[str, Secrecy], treatment: Treatment
) -> dict[str, object]:
    found: dict[str, Any] = {"OP_ID": op_id(type(opcode))}
    for name in opcode.__struct_fields__:
        value = getattr(opcode, name)
        if name in hidden and value is not None:
            value = treatment(hidden[name], value)
        if value is None and name not in _NULLABLE_ON_WIRE:
            continue
        if isinstance(value, tuple) and value and isinstance(value[0], Opcode):
            inner = get_secrecy(type(value[0]))
            found[name] = [_encode(each, inner, treatment) for each in value]
        else:
            found[name] = msgspec.to_builtins(value)
    return found


def _redact_value(value: object) -> object:
    if isinstance(value, dict):
        return {key: _redact_value(each) for key, each in value.items()}
    return REDACTED
