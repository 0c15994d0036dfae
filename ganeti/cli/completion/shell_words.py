# SPDX-License-Identifier: BSD-2-Clause
"""Words of a command line that is being typed, and the quoting of what is added to it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_")
"""Characters without a meaning in bash(1) and zsh(1), wherever they are within a word."""

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_ESCAPED = '$`"\\'


@dataclass(frozen=True)
class ShellWord:
    """A word without its quotes; the ``quote`` that is still open, and where in the text it opens.

    ``bare`` are the positions of the characters in the text that are not quoted.
    """

    text: str = ""
    quote: str = ""
    opened: int = 0
    bare: frozenset[int] = frozenset()

    def behind_break(self, breaks: str) -> int:
        """Return how many characters of the text bash keeps when it inserts a completion.

        It replaces only what follows an open quote, or the last of the ``breaks``
        (``COMP_WORDBREAKS``) that is not quoted.
        """
        if self.quote:
            return self.opened
        return max((i + 1 for i in self.bare if self.text[i] in breaks), default=0)


def split_line(line: str) -> list[ShellWord]:
    """Return the words of a simple command up to the cursor; the last one may be empty.

    Assignments in front of the command are left out. Expansions are not performed.
    """
    found: list[ShellWord] = []
    rest = line.lstrip()
    while True:
        word, rest = _take_word(rest)
        if found or not (rest and _ASSIGNMENT.match(word.text)):
            found.append(word)
        if not rest:
            return found
        rest = rest.lstrip()


def _take_word(line: str) -> tuple[ShellWord, str]:
    """Return the first word of the line, and the rest, which starts with white space."""
    text, quote, opened = "", "", 0
    bare = set()
    position = 0
    while position < len(line):
        each = line[position]
        position += 1
        if each == "\\" and quote != "'":
            following = line[position : position + 1]
            position += 1
            text += each + following if quote and following not in _ESCAPED else following
        elif quote:
            text, quote = (text, "") if each == quote else (text + each, quote)
        elif each in "'\"":
            quote, opened = each, len(text)
        elif each.isspace():
            position -= 1
            break
        else:
            bare.add(len(text))
            text += each
    return ShellWord(text, quote, opened, frozenset(bare)), line[position:]


def escape(text: str, quote: str = "") -> str:
    """Return ``text`` as it is typed within an open ``quote``, or without one.

    The shell takes the result literally, whatever is in it.

    :raises ValueError: it cannot be typed there; no name is like that.
    """
    if not text.isprintable():
        raise ValueError("control characters cannot be typed")
    if quote == '"' and "!" in text:
        # A backslash prevents the expansion of history, but stays.
        raise ValueError("an exclamation mark cannot be typed within double quotes")
    if quote == "'":
        return text.replace("'", "'\\''")
    if quote == '"':
        return "".join(f"\\{each}" if each in _ESCAPED else each for each in text)
    return "".join(each if each in _PLAIN else f"\\{each}" for each in text)
