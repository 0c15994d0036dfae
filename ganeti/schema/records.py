# SPDX-License-Identifier: BSD-2-Clause
"""Records that are stored or sent: one declaration gives type, check, JSON and JSON Schema."""

from __future__ import annotations

from typing import Any, TypeAlias, dataclass_transform

import msgspec

from ganeti.schema.types import JsonValue


class RecordType(msgspec.StructMeta):
    """Makes every record frozen, keyword-only and strict; msgspec does not inherit all of that."""

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **settings: Any
    ) -> RecordType:
        strict = {"frozen": True, "kw_only": True, "forbid_unknown_fields": True}
        return super().__new__(mcls, name, bases, namespace, **{**strict, **settings})


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Record(msgspec.Struct, metaclass=RecordType, frozen=True):
    """An immutable value with named fields; reading refuses unknown fields."""


def doc(text: str, **extra: Any) -> msgspec.Meta:
    """Document a field for operators; used in help texts, manual pages and OpenAPI."""
    return msgspec.Meta(description=text, extra=extra or None)


def unsupported(text: str, instead: str) -> msgspec.Meta:
    """Document a parameter that existing clients may send but this software does not support.

    Only its default is accepted, so that no other value is silently ignored; ``instead`` says what
    to do instead.
    """
    return doc(text, instead=instead)


def list_all_fields(value: object) -> JsonValue:
    """Return a record as clients see it: with all fields, also those that are left out in files."""
    if isinstance(value, Record):
        return {name: list_all_fields(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [list_all_fields(each) for each in value]
    return msgspec.to_builtins(value)


replace = msgspec.structs.replace


# Each field has a type of its own, and ``replace`` has one signature for all records.
FieldValues: TypeAlias = dict[str, Any]
"""New values of some fields of a record, by name."""
