# SPDX-License-Identifier: BSD-2-Clause
"""What the master must not lose, as commits, and the log that keeps them.

A commit is a list of puts and deletes of records, each with a kind and a key, plus who made it,
why and by which job. It is kept whole or not at all. Nothing here speaks of files: a log on a
replicated store fits behind the same interface.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
from zope.interface import Interface

from ganeti.schema.records import Record

Position: TypeAlias = int
"""The number of a commit: the first is 1, each one more than the one before."""


class Put(Record, tag="put", tag_field="do"):
    """The record of this kind and key is now ``value``, encoded as JSON."""

    kind: str
    key: str
    value: msgspec.Raw


class Append(Record, tag="append", tag_field="do"):
    """``value``, encoded as JSON, follows what was appended to this kind and key before."""

    kind: str
    key: str
    value: msgspec.Raw


class Delete(Record, tag="delete", tag_field="do"):
    """There is no record of this kind and key any more."""

    kind: str
    key: str


Edit: TypeAlias = Put | Append | Delete


class Commit(Record, omit_defaults=True):
    """Edits that become true together; ``at`` in seconds since the epoch."""

    at: float
    who: str
    why: str
    job: int | None = None
    edits: tuple[Edit, ...]


class IJournal(Interface):
    """An append-only log of commits; what it has taken survives a crash."""

    async def append(commit: Commit) -> Position:
        """Keep ``commit``; when this returns it is durable, here and with every replica in the set.

        Commits of one turn share a sync. A commit is kept whole or not at all, in the order of
        the calls, and the calls return in that order.

        :raises NotKept: the log could not keep it, nor anything that was asked after it; it
            takes nothing more until ``reopen`` has succeeded.
        """

    async def reopen() -> None:
        """After a failure: cut off what was not acknowledged and take commits again.

        :raises NotKept: the cause of the failure is still there.
        """

    def replay(after: Position) -> Sequence[tuple[Position, Commit]]:
        """Every commit after ``after``, oldest first.

        :raises Damaged: a frame that is not the torn end of the log does not verify; the message
            names the file and the place, and says what to do.
        """

    def end() -> Position:
        """The position of the last durable commit; 0 if there is none."""

    async def forget(before: Position) -> None:
        """Commits before ``before`` are in a checkpoint and may go, as whole segments."""
