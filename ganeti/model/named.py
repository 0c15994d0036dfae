# SPDX-License-Identifier: BSD-2-Clause
"""What every object of the configuration has."""

from __future__ import annotations

from ganeti.schema.records import Record


class Stored(Record, omit_defaults=True):
    """An object of the configuration; ``serial_no`` and ``mtime`` move with every change of it."""

    uuid: str
    serial_no: int
    ctime: float
    mtime: float


class Tagged(Stored, omit_defaults=True):
    """An object that carries tags, kept sorted."""

    tags: tuple[str, ...]
