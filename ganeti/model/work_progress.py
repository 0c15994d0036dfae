# SPDX-License-Identifier: BSD-2-Clause
"""How far a step of a job is, as its log says it and as tools find it there.

Ganeti's clients show all messages of a log as they are, so that it is a sentence and not an entry
of a kind of its own.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TEXT = re.compile(
    r"(?P<what>.+): (?P<percent>[0-9]{1,3}\.[0-9])% done(, (?P<left>[0-9]+) s left)?"
)


class WorkProgress(NamedTuple):
    """The part of ``what`` that is done, in percent, and the estimated seconds that are left."""

    what: str
    percent: float
    left: float | None = None

    def __str__(self) -> str:
        left = "" if self.left is None else f", {max(0.0, self.left):.0f} s left"
        return f"{self.what}: {min(100.0, max(0.0, self.percent)):.1f}% done{left}"


def parse_progress(message: str) -> WorkProgress | None:
    """Return the progress that a message of a job's log reports; None for other messages."""
    found = _TEXT.fullmatch(message)
    if found is None:
        return None
    left = found["left"]
    return WorkProgress(found["what"], float(found["percent"]), None if left is None else int(left))
