# SPDX-License-Identifier: BSD-2-Clause
"""Text that holds arguments of a program in a shell's quoting."""

from __future__ import annotations

from ganeti.errors import Invalid, Problem


def shell_words(text: str, path: str = "") -> list[str]:
    """Split ``text`` as a shell would; ``path`` names the parameter that holds it.

    :raises Invalid: a quotation is not closed, or nothing is behind a backslash.
    """
    import shlex  # only where there is such text

    try:
        return shlex.split(text)
    except ValueError as e:
        message = f"{text} cannot be split as a shell would: {str(e).lower()}"
        raise Invalid([Problem(path, message)]) from None
