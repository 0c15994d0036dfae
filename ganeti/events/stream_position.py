# SPDX-License-Identifier: BSD-2-Clause
"""Positions in the event stream: the position of a commit, and an index in it."""

from __future__ import annotations

import re
from typing import NamedTuple

from ganeti.errors import Invalid

LAST_EDIT = 1_000_000
"""Larger than the number of edits in any commit; events outside commits are numbered from here."""

_TEXT = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?")


class StreamPosition(NamedTuple):
    """The id of an event, by which events are ordered.

    ``number`` is the index of the edit in its commit, from 1; edits without an event are counted,
    so that the id does not depend on the reader. Events outside commits are numbered from
    ``LAST_EDIT``. A position without number is the end of its commit.
    """

    position: int
    number: int = LAST_EDIT

    def __str__(self) -> str:
        if self.number == LAST_EDIT:
            return str(self.position)
        return f"{self.position}.{self.number}"

    @classmethod
    def parse(cls, text: str) -> StreamPosition:
        """Return the cursor in ``text``.

        :raises Invalid: the text is not a cursor.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise Invalid(
                f"{text[:50]!r} is not a position in the event stream; use the id of an event, such"
                " as 1234.1, or the position of a commit, such as 1234"
            )
        return cls(int(found[1]), LAST_EDIT if found[2] is None else int(found[2]))


STREAM_START = StreamPosition(0, 0)
"""The position before every event."""
