# SPDX-License-Identifier: BSD-2-Clause
"""Reads the records of guests that an earlier daemon has written."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from twisted.logger import Logger

from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record
from ganeti.system.interfaces import IStateFiles

R = TypeVar("R", bound=Record)
_log = Logger(namespace=__name__)


def noted(notes: IStateFiles, kind: type[R]) -> dict[str, R | None]:
    """Return all records by the name of the guest; None for an unreadable one.

    Records are not synced, so files may be empty after a power failure. The daemon must start
    anyway.
    """
    found: dict[str, R | None] = {}
    for name, note in notes.read_all().items():
        try:
            found[name] = msgspec.json.decode(note, type=kind)
        except UNREADABLE as error:
            _log.warn("the record of instance {name} is damaged: {error}", name=name, error=error)
            found[name] = None
    return found
