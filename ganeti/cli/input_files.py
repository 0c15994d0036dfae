# SPDX-License-Identifier: BSD-2-Clause
"""Files that are given on the command line, and the standard input."""

from __future__ import annotations

import sys

from ganeti.cli.session import FAILURE, ExitTool


def read_bytes(path: str) -> bytes:
    """Return the content of a file.

    :raises ExitTool: if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as e:
        raise read_error(path, e.strerror or str(e)) from None


def read_lines(path: str) -> list[str]:
    """Return the lines of a text file; ``-`` is the standard input.

    :raises ExitTool: if it cannot be read.
    """
    if path == "-":
        # Read bytes: the encoding of piped input is independent of the terminal's locale.
        content = sys.stdin.buffer.read() if sys.stdin is not None else b""
    else:
        content = read_bytes(path)
    try:
        return content.decode().splitlines()
    except UnicodeDecodeError as e:
        raise read_error(path, f"byte {e.start} is not UTF-8") from None


def read_error(path: str, reason: str) -> ExitTool:
    """Return the error for a file that cannot be read."""
    name = "standard input" if path == "-" else path or "''"
    return ExitTool(FAILURE, f"{name} cannot be read: {reason}")
