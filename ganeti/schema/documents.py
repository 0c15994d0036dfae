# SPDX-License-Identifier: BSD-2-Clause
"""JSON documents from clients and files: decoding errors, and a limit on nesting."""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import Any, TypeAlias

import msgspec

Document: TypeAlias = dict[str, Any]
"""An object of a JSON document whose shape is not declared, such as a configuration of an older
version of Ganeti.
"""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The errors of decoding: invalid JSON, invalid UTF-8, or nested too deeply."""

MAX_DEPTH = 100
"""Maximum nesting of lists and objects.

Without an explicit limit the size of the stack sets one, which differs by caller: a document
accepted in one place could not be encoded or decoded in another.
"""

_STRUCTURE = b'[]{}"\\'
_OTHERS = bytes(set(range(256)) - set(_STRUCTURE))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")


def nests_too_deep(document: bytes | msgspec.Raw) -> bool:
    """Return whether lists and objects in ``document`` nest deeper than ``MAX_DEPTH``."""
    raw = bytes(document)
    # A fast test, which nearly all documents pass.
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return False
    structure = raw.translate(None, _OTHERS)
    if b"\\" in structure:
        # Remove escapes first, because an escaped character may be a quotation mark.
        structure = raw.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _OTHERS)
    # Every other part is outside of quotation marks.
    outside = b"".join(structure.replace(b"\\", b"").split(b'"')[::2])
    steps = array("b", outside.translate(_STEPS))
    return max(accumulate(steps), default=0) > MAX_DEPTH
