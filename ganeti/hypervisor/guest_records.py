# SPDX-License-Identifier: BSD-2-Clause
"""Reading back what an earlier daemon noted of its guests."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from twisted.logger import Logger

from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record
from ganeti.system.interfaces import INotes

R = TypeVar("R", bound=Record)
_log = Logger(namespace=__name__)


def noted(notes: INotes, kind: type[R]) -> dict[str, R | None]:
    """Every note by the name of its guest; None for one that means nothing.

    Notes are not synced, so a host that lost its power may leave empty ones. That must not keep
    a daemon from starting.
    """
    found: dict[str, R | None] = {}
    for name, note in notes.all().items():
        try:
            found[name] = msgspec.json.decode(note, type=kind)
        except UNREADABLE as error:
            _log.warn("the note of instance {name} is damaged: {error}", name=name, error=error)
            found[name] = None
    return found
