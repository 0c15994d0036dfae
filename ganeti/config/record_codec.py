# SPDX-License-Identifier: BSD-2-Clause
"""The form of configuration objects in the journal: one JSON text each, by kind and key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from ganeti.config.state import TYPES, RecordKind, Stored
from ganeti.errors import Invalid, Problem
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.reading import problems
from ganeti.schema.records import Record

T = TypeVar("T")

META_KIND = "config"
META_KEY = "meta"


class Meta(Record):
    """Serial number and times of the whole configuration, part of every commit that changes it."""

    serial_no: int
    ctime: float
    mtime: float


encoder = msgspec.json.Encoder()
_meta_decoder = msgspec.json.Decoder(Meta)
_decoders: Mapping[RecordKind, msgspec.json.Decoder[Stored]] = {
    kind: msgspec.json.Decoder(record) for kind, record in TYPES.items()
}


def decoded(kind: RecordKind, key: str, text: bytes | msgspec.Raw) -> Stored:
    """Return the object that ``text`` contains.

    :raises Invalid: with every problem of the object.
    """
    return _decode(_decoders[kind], TYPES[kind], f"{kind} {key}", text)


def decoded_meta(text: bytes | msgspec.Raw) -> Meta:
    """Return the serial number and times that ``text`` contains.

    :raises Invalid: with every problem of them.
    """
    return _decode(_meta_decoder, Meta, f"{META_KIND} {META_KEY}", text)


def _decode(
    decoder: msgspec.json.Decoder[T], kind: type[Record], name: str, text: bytes | msgspec.Raw
) -> T:
    try:
        return decoder.decode(text)
    except UNREADABLE as e:
        found = _find_problems(kind, text) or [Problem("", str(e))]
        raise Invalid(
            [Problem(f"{name} {each.path}".rstrip(), each.message) for each in found]
        ) from e


def _find_problems(kind: type[Record], text: bytes | msgspec.Raw) -> list[Problem]:
    """Return every problem of an object; none if the text is no JSON."""
    try:
        document = msgspec.json.decode(text)
    except UNREADABLE:
        return []
    return problems(kind, document)
