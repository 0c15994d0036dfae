# SPDX-License-Identifier: BSD-2-Clause
"""Words that differ from a given one by a single typing error, to look names up by.

The number of candidates depends on the length of the word, and not on the number of names.
"""

from __future__ import annotations

import string
from collections.abc import Iterator

_CHARACTERS = string.ascii_lowercase + string.digits + "-_" + string.ascii_uppercase

MAX_LENGTH = 64
"""The length of the longest word that is corrected: a label of a host name, and one character."""


def list_corrections(word: str) -> Iterator[str]:
    """Yield the words that ``word`` may have been meant to be, some of them several times.

    They have two neighboring characters swapped, or one character less, more, or another one. A
    word of more than ``MAX_LENGTH`` characters has none.
    """
    if len(word) > MAX_LENGTH:
        return
    parts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    for head, tail in parts:
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
        if tail:
            yield head + tail[1:]
    for head, tail in parts:
        for character in _CHARACTERS:
            if tail:
                yield head + character + tail[1:]
            yield head + character + tail
