# SPDX-License-Identifier: BSD-2-Clause
"""Makes text from unauthenticated clients safe to show."""

from __future__ import annotations


def printable(text: str, most: int) -> str:
    """Return at most so many characters of a text, those that cannot be seen as escapes.

    Such as control characters, and those that turn the direction of writing.
    """
    shown = text[:most]
    if shown.isprintable():
        return shown
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "backslashreplace").decode()
        for each in shown
    )
