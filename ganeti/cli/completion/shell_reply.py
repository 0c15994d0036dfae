# SPDX-License-Identifier: BSD-2-Clause
"""The answer to a shell that completes a command line: ``TOOL --complete SHELL LINE [BREAKS]``.

LINE is the command line up to the cursor, as it was typed. The first line of the answer says which
names of files the shell adds (``none``, ``files`` or ``folders``). For ``bash``, each other line is
the text to insert, with a space behind a word that is complete. BREAKS is ``COMP_WORDBREAKS``: bash
replaces only what follows the last of them. For ``zsh``, which quotes by itself, each line has the
word, a tab, and what it means.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ganeti.cli.command import Tool
from ganeti.cli.completion.candidates import CompletionWord, NameFinder, complete
from ganeti.cli.completion.live_names import LiveNames
from ganeti.cli.completion.shell_words import ShellWord, escape, split_line
from ganeti.cli.session import Session
from ganeti.errors import GanetiError

MASTER_SECONDS = 0.6
"""How long a person who has pressed the TAB key waits for the names of objects."""


class DeadlineExceeded(GanetiError):
    """The names of objects did not come in time."""


def answer(tool: Tool, arguments: Sequence[str], names: NameFinder) -> list[str]:
    """Return the lines that a shell reads; none if the arguments make no sense."""
    shell, line, breaks, *_ = [*arguments, "", "", ""]
    if shell not in ("bash", "zsh") or not _is_text(line):
        return []
    _, *words, current = [ShellWord(), *split_line(line)]
    if not words:
        return []
    found = complete(tool, [word.text for word in words[1:]], current.text, names)
    rows = _bash_rows if shell == "bash" else _zsh_rows
    return [found.paths.value, *rows(found.candidates, current, breaks)]


def _is_text(line: str) -> bool:
    """Return whether the locale of the terminal could decode the line."""
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bash_rows(found: Sequence[CompletionWord], current: ShellWord, breaks: str) -> Iterator[str]:
    kept = current.behind_break(breaks)
    for each in found:
        # A name that cannot be typed is no candidate.
        with suppress(ValueError):
            # Readline closes an open quote by itself.
            space = "" if each.open or current.quote else " "
            yield escape(each.word[kept:], current.quote) + space


def _zsh_rows(found: Sequence[CompletionWord], current: ShellWord, breaks: str) -> Iterator[str]:
    for each in found:
        if each.word.isprintable():
            yield f"{each.word}{'' if each.open else ' '}\t{each.doc}"


class ImpatientNames:
    """Names of objects as far as the master tells them soon; without an answer there are none."""

    def __init__(self, session: Session, seconds: float = MASTER_SECONDS) -> None:
        self._names = LiveNames(session.ask)
        self._seconds = seconds
        self._answered = True

    def find_names(self, kind: str, prefix: str, owner: str = "", of: str = "") -> list[str]:
        if not self._answered:
            return []
        try:
            with deadline(self._seconds):
                return self._names.find_names(kind, prefix, owner, of)
        except (GanetiError, OSError):
            self._answered = False
            return []


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer, whatever it waits for.

    :raises DeadlineExceeded: in the code that is interrupted.
    """

    def interrupt(_: int, __: object) -> None:
        raise DeadlineExceeded

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def print_answer(tool: Tool, arguments: Sequence[str], session: Session) -> int:
    """Print the answer for a shell; return the exit code."""
    for line in answer(tool, arguments, ImpatientNames(session)):
        session.print_line(line)
    return 0
