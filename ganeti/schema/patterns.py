# SPDX-License-Identifier: BSD-2-Clause
"""Regular expressions of users, which may not take the time of all others.

A pattern such as ``(a|a)*b`` tries more ways than anybody can wait for. The search is therefore
interrupted by a timer: the ``re`` module lets signals in while it searches.
"""

from __future__ import annotations

import re
import signal
from types import FrameType
from typing import Never

from ganeti.errors import Invalid

LONGEST = 1024
"""How many characters a pattern may have."""

PATIENCE = 0.5
"""How much of the processor's time, in seconds, all searches for one pattern may take together."""


class Pattern:
    """A regular expression to search texts for.

    :raises Invalid: it is none, or is too long.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise Invalid(f"a regular expression may have {LONGEST} characters")
        try:
            self._search = re.compile(text).search
        except (re.error, OverflowError, RecursionError) as e:
            raise Invalid(f"'{text}' is not a regular expression: {e}") from None
        self._text = text
        self._left = PATIENCE

    def found(self, text: str) -> bool:
        """Whether the pattern is found in ``text``.

        :raises Invalid: searching for it takes too long.
        """
        try:
            before = signal.signal(signal.SIGVTALRM, self._give_up)
        except ValueError:  # not in the main thread, which alone hears signals
            return self._search(text) is not None
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, max(self._left, 1e-6))
            found = self._search(text) is not None
            self._left = signal.setitimer(signal.ITIMER_VIRTUAL, 0)[0]
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)
        return found

    def _give_up(self, number: int, frame: FrameType | None) -> Never:
        raise Invalid(
            f"searching for '{self._text}' takes too long; write it with fewer repeats in repeats,"
            " and fewer choices in them"
        )
