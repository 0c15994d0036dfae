# SPDX-License-Identifier: BSD-2-Clause
"""Files that an administrator names on the command line, and the standard input."""

from __future__ import annotations

import sys

from ganeti.cli.session import FAILURE, ExitTool


def read_bytes(path: str) -> bytes:
    """Return what is in a file.

    :raises ExitTool: it cannot be read, and why.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as e:
        raise unreadable(path, e.strerror or str(e)) from None


def read_lines(path: str) -> list[str]:
    """Return the lines of a text file; the file ``-`` is the standard input.

    :raises ExitTool: it cannot be read, and why.
    """
    if path == "-":
        # As bytes: the locale of the terminal says nothing about what is piped here.
        content = sys.stdin.buffer.read() if sys.stdin is not None else b""
    else:
        content = read_bytes(path)
    try:
        return content.decode().splitlines()
    except UnicodeDecodeError as e:
        raise unreadable(path, f"byte {e.start} is not UTF-8") from None


def unreadable(path: str, reason: str) -> ExitTool:
    """Return the error that a file cannot be used."""
    name = "the standard input" if path == "-" else path or "''"
    return ExitTool(FAILURE, f"{name} cannot be read: {reason}")
