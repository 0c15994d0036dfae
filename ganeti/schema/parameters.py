# SPDX-License-Identifier: BSD-2-Clause
"""The fields of a record as option lists, manual pages and OpenAPI describe them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.inspect import Metadata, Type, UnionType, type_info


class Parameter(msgspec.Struct, frozen=True):
    """A field of a record."""

    name: str
    type: Type
    required: bool
    default: Any
    doc: str
    extra: dict[str, Any] = {}


def parameters(kind: type[msgspec.Struct]) -> tuple[Parameter, ...]:
    """Return the fields of ``kind`` in the order of their declaration."""
    described = type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType)
    found = []
    for each in described.fields:
        bare, text, extra = _unwrap_type(each.type)
        default = None
        if each.default is not msgspec.NODEFAULT:
            default = each.default
        elif each.default_factory is not msgspec.NODEFAULT:
            default = each.default_factory()
        found.append(Parameter(each.encode_name, bare, each.required, default, text, extra))
    return tuple(found)


def _unwrap_type(kind: Type) -> tuple[Type, str, dict[str, object]]:
    if isinstance(kind, Metadata):
        bare, text, extra = _unwrap_type(kind.type)
        schema = kind.extra_json_schema or {}
        return bare, schema.get("description", text), {**extra, **(kind.extra or {})}
    if isinstance(kind, UnionType):
        docs = [_unwrap_type(member) for member in kind.types]
        text = next((text for _, text, _ in docs if text), "")
        return kind, text, {}
    return kind, "", {}
