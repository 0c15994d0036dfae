# SPDX-License-Identifier: BSD-2-Clause
"""Regular expressions of users, which must not take the time of all others.

They are searched for by RE2, in time linear to the length of the text. The ``re`` module
backtracks: for a pattern such as ``(a|a)*b`` it tries more ways than anybody can wait for, and on
the thread of the reactor nobody else is served meanwhile. What only backtracking can find
(backreferences, lookaround) RE2 does not have; see https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re2  # type: ignore[import-untyped]  # it has no annotations

from ganeti.errors import Invalid

MAX_LENGTH = 1024
"""How many characters a pattern may have."""

MAX_MEMORY = 128 * 1024
"""How much memory, in bytes, one compiled pattern may take: some 2,000 instructions. This also
bounds the cost of a search, which grows with their number."""


class Pattern:
    """A regular expression to search texts for; ``size`` is its number of instructions.

    :raises Invalid: it is none, or is too long.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise Invalid(f"a regular expression may have {MAX_LENGTH} characters")
        try:
            # As bytes: for text RE2 converts all positions of a match, which are not needed.
            compiled = re2.compile(text.encode(), _options())
        except re2.error as e:
            why = e.args[0].decode(errors="replace")
            raise Invalid(
                f"'{text}' is not a regular expression (RE2 syntax, without backreferences and"
                f" lookaround): {why}"
            ) from None
        except UnicodeEncodeError:
            raise Invalid("a regular expression must be valid Unicode") from None
        self.size: int = compiled.programsize
        self._search = compiled.search

    def found(self, text: str) -> bool:
        """Return whether the pattern is found in ``text``."""
        return self._search(text.encode(errors="replace")) is not None


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.log_errors = False  # whoever sent the pattern is told
    options.never_capture = True  # groups make a search slower, and nobody asks what they match
    return options
