# SPDX-License-Identifier: BSD-2-Clause
"""Regular expressions from users, with bounded cost.

RE2 matches in time linear to the length of the text. The ``re`` module backtracks: a pattern such
as ``(a|a)*b`` takes exponential time, and blocks the reactor meanwhile. RE2 does not support what
needs backtracking (backreferences, lookaround); see https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re2  # type: ignore[import-untyped]  # it has no annotations

from ganeti.errors import Invalid

MAX_LENGTH = 1024
"""Maximum length of a pattern in characters."""

MAX_PATTERN_MEMORY = 128 * 1024
"""Maximum memory of a compiled pattern in bytes: about 2,000 instructions.

This also bounds the cost of a search, which grows with their number.
"""


class Pattern:
    """A regular expression to search texts for; ``size`` is its number of instructions.

    :raises Invalid: the text is not a regular expression, or is too long.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise Invalid(f"a regular expression may have at most {MAX_LENGTH} characters")
        try:
            # As bytes: for text, RE2 converts all match positions, which are not needed.
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
        """Return whether the pattern occurs in ``text``."""
        return self._search(text.encode(errors="replace")) is not None


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = MAX_PATTERN_MEMORY
    options.log_errors = False  # the error is raised instead
    options.never_capture = True  # groups slow down a search, and are not used
    return options
