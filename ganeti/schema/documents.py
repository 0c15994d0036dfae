# SPDX-License-Identifier: BSD-2-Clause
"""JSON documents of unknown origin: what decoding them can raise, and how deep they may nest."""

from __future__ import annotations

from array import array
from itertools import accumulate

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a document can raise: it is not JSON, not in UTF-8, or nested too deeply."""

MAX_DEPTH = 100
"""How deep lists and objects may nest.

Without a bound of our own the stack sets one, and that differs from place to place: what was taken
at one place could not be encoded or read again at another.
"""

_STRUCTURE = b'[]{}"\\'
_OTHERS = bytes(set(range(256)) - set(_STRUCTURE))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")


def nests_too_deep(document: bytes | msgspec.Raw) -> bool:
    """Whether lists and objects in ``document`` nest deeper than ``MAX_DEPTH``."""
    raw = bytes(document)
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return False
    structure = raw.translate(None, _OTHERS)
    if b"\\" in structure:
        # What is escaped must be removed before all else is: it can be a quote.
        structure = raw.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _OTHERS)
    outside = b"".join(structure.replace(b"\\", b"").split(b'"')[::2])
    steps = array("b", outside.translate(_STEPS))
    return max(accumulate(steps), default=0) > MAX_DEPTH
