# SPDX-License-Identifier: BSD-2-Clause
"""What every object of the configuration has."""

from __future__ import annotations

from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Line, Number


class StoredObject(Record, omit_defaults=True):
    """An object of the configuration; ``serial_no`` and ``mtime`` move with every change of it."""

    uuid: Line
    serial_no: Integer
    ctime: Number
    mtime: Number


class TaggedObject(StoredObject, omit_defaults=True):
    """An object that carries tags, kept sorted."""

    tags: tuple[Line, ...]
