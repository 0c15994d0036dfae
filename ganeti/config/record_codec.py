# SPDX-License-Identifier: BSD-2-Clause
"""The form of configuration objects in the journal: one JSON text each, by kind and key."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ganeti.config.state import TYPES, RecordKind, Stored
from ganeti.errors import Invalid, Problem
from ganeti.schema.reading import problems
from ganeti.schema.records import Record

META_KIND = "config"
META_KEY = "meta"


class Meta(Record):
    """Serial number and times of the whole configuration, part of every commit that changes it."""

    serial_no: int
    ctime: float
    mtime: float


encoder = msgspec.json.Encoder()
meta_decoder = msgspec.json.Decoder(Meta)
_decoders: Mapping[RecordKind, msgspec.json.Decoder[Stored]] = {
    kind: msgspec.json.Decoder(record) for kind, record in TYPES.items()
}


def decoded(kind: RecordKind, key: str, text: bytes | msgspec.Raw) -> Stored:
    """Return the object that ``text`` contains.

    :raises Invalid: with every problem of the object.
    """
    try:
        return _decoders[kind].decode(text)
    except msgspec.ValidationError as e:
        found = problems(TYPES[kind], msgspec.json.decode(text)) or [Problem("", str(e))]
        raise Invalid([Problem(f"{kind} {key} {each.path}", each.message) for each in found]) from e
