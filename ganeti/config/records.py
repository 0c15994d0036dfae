# SPDX-License-Identifier: BSD-2-Clause
"""The configuration's objects as the journal keeps them: one JSON text each, by kind and key."""

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
    """What the configuration as a whole has; kept with every commit that changes it."""

    serial_no: int
    ctime: float
    mtime: float


encoder = msgspec.json.Encoder()
meta_decoder = msgspec.json.Decoder(Meta)
_decoders: Mapping[RecordKind, msgspec.json.Decoder[Stored]] = {
    kind: msgspec.json.Decoder(record) for kind, record in TYPES.items()
}


def decoded(kind: RecordKind, key: str, text: bytes | msgspec.Raw) -> Stored:
    """The object that ``text`` holds.

    :raises Invalid: with everything that is wrong with it.
    """
    try:
        return _decoders[kind].decode(text)
    except msgspec.ValidationError as e:
        found = problems(TYPES[kind], msgspec.json.decode(text)) or [Problem("", str(e))]
        raise Invalid([Problem(f"{kind} {key} {each.path}", each.message) for each in found]) from e
