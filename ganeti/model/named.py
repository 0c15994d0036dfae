# SPDX-License-Identifier: BSD-2-Clause
"""Fields that all objects of the configuration share."""

from __future__ import annotations

from ganeti.schema.records import Record
from ganeti.schema.types import Integer, Line, Number


class StoredObject(Record, omit_defaults=True):
    """An object of the configuration; every change updates ``serial_no`` and ``mtime``."""

    uuid: Line
    serial_no: Integer
    ctime: Number
    mtime: Number


class TaggedObject(StoredObject, omit_defaults=True):
    """An object with tags, which are sorted."""

    tags: tuple[Line, ...]
