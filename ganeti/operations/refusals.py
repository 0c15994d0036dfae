# SPDX-License-Identifier: BSD-2-Clause
"""Refusals that several operations share."""

from __future__ import annotations

from ganeti.config.state import RecordKind
from ganeti.errors import Code, Problem, Refused

COMPRESSION_UNSUPPORTED = Problem("compress", "must be none: transfers are not compressed")
NOTHING_TO_CHANGE = "no changes requested; give at least one parameter"


def nothing_to_change() -> Refused:
    """Return the error for a request to modify an object without any change."""
    return Refused(NOTHING_TO_CHANGE, Code.INPUT)


def already_exists(kind: RecordKind, name: str) -> Refused:
    """Return the error for the name of a new object that is in use."""
    return Refused(f"{kind} {name} already exists; choose another name", Code.EXISTS)
