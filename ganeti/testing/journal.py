# SPDX-License-Identifier: BSD-2-Clause
"""A journal in memory that keeps a commit at once, and can be made not to."""

from __future__ import annotations

from collections.abc import Iterator

from zope.interface import implementer

from ganeti.errors import CommitFailed
from ganeti.journal.interfaces import Commit, IJournal, JournalDamaged, Observer, Position


@implementer(IJournal)
class MemoryJournal:
    """Commits that exist only in this object."""

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self._observers: list[Observer] = []
        self._first = 1
        self._trouble: str | None = None
        self._refuses = False

    def break_down(self, why: str = "disk is full") -> None:
        """Keep nothing more until ``heal`` and then ``reopen``."""
        self._trouble = why

    def heal(self) -> None:
        """Let ``reopen`` succeed."""
        self._trouble = None

    async def append(self, commit: Commit) -> Position:
        if self._trouble is not None or self._refuses:
            self._refuses = True
            raise CommitFailed(
                f"the journal accepts no commits: {self._trouble or 'reopen it first'}"
            )
        self.commits.append(commit)
        for observer in tuple(self._observers):
            observer(self.last_commit(), commit)
        return self.last_commit()

    async def reopen(self) -> None:
        if self._trouble is not None:
            raise CommitFailed(f"the journal accepts no commits: {self._trouble}")
        self._refuses = False

    def replay(self, after: Position) -> Iterator[tuple[Position, Commit]]:
        if not self._first - 1 <= after <= self.last_commit():
            raise JournalDamaged(
                f"the journal has commits {self._first} to {self.last_commit()} only"
            )
        return iter(list(enumerate(self.commits[after + 1 - self._first :], after + 1)))

    def last_commit(self) -> Position:
        return self._first - 1 + len(self.commits)

    def observe(self, observer: Observer) -> None:
        self._observers.append(observer)

    def unobserve(self, observer: Observer) -> None:
        if observer in self._observers:
            self._observers.remove(observer)

    async def remove_before(self, before: Position) -> None:
        gone = max(0, min(before - self._first, len(self.commits)))
        del self.commits[:gone]
        self._first += gone
