# SPDX-License-Identifier: BSD-2-Clause
"""Text with arguments of a program in shell quoting."""

from __future__ import annotations

from ganeti.errors import Invalid, Problem


def split_shell_words(text: str, path: str = "") -> list[str]:
    """Split ``text`` with shell syntax; ``path`` is the parameter that contains it.

    :raises Invalid: a quotation is not closed, or the text ends with a backslash.
    """
    import shlex  # imported here: rarely used

    try:
        return shlex.split(text)
    except ValueError as e:
        message = f"{text} cannot be split with shell syntax: {str(e).lower()}"
        raise Invalid([Problem(path, message)]) from None
