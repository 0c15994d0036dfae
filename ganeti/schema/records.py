# SPDX-License-Identifier: BSD-2-Clause
"""Records that are stored or sent: one declaration is type, check, JSON and JSON Schema."""

from __future__ import annotations

from typing import Any, dataclass_transform

import msgspec


class RecordType(msgspec.StructMeta):
    """Makes every record frozen, built by keywords and strict; msgspec inherits only some of it."""

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **settings: Any
    ) -> RecordType:
        strict = {"frozen": True, "kw_only": True, "forbid_unknown_fields": True}
        return super().__new__(mcls, name, bases, namespace, **{**strict, **settings})


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Record(msgspec.Struct, metaclass=RecordType, frozen=True):
    """An immutable value with named fields; unknown fields are refused when it is read."""


def doc(text: str, **extra: Any) -> msgspec.Meta:
    """What a field means, in the words of an operator; goes into helps, manuals and OpenAPI."""
    return msgspec.Meta(description=text, extra=extra or None)


def unsupported(text: str, instead: str) -> msgspec.Meta:
    """Like ``doc``, for what existing clients may send and nothing here does.

    Only its default is accepted, so that nobody believes that another value had an effect;
    ``instead`` says what to do.
    """
    return doc(text, instead=instead)


replace = msgspec.structs.replace
