# SPDX-License-Identifier: BSD-2-Clause
"""Places in the stream of events: the position of a commit in the journal, and an index in it."""

from __future__ import annotations

import re
from typing import NamedTuple

from ganeti.errors import Invalid

LAST_EDIT = 1_000_000
"""No commit has so many edits: events of higher numbers are in no commit, and follow it."""

_TEXT = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?")


class StreamPosition(NamedTuple):
    """The identifier of an event; events are ordered by it.

    ``number`` is that of the edit in its commit, from 1 on, also counting those that are no events,
    so it is the same whoever reads the journal. Events that are in no commit are numbered from
    ``LAST_EDIT`` on. A position alone stands for the end of its commit.
    """

    position: int
    number: int = LAST_EDIT

    def __str__(self) -> str:
        if self.number == LAST_EDIT:
            return str(self.position)
        return f"{self.position}.{self.number}"

    @classmethod
    def parse(cls, text: str) -> StreamPosition:
        """Return the cursor that ``text`` spells.

        :raises Invalid: it is none.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise Invalid(
                f"{text[:50]!r} is no position in the event stream; give the id of an event, such"
                " as 1234.1, or the position of a commit, such as 1234"
            )
        return cls(int(found[1]), LAST_EDIT if found[2] is None else int(found[2]))


BEFORE_ALL = StreamPosition(0, 0)
"""Comes before every event."""
