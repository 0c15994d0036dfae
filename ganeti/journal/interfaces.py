# SPDX-License-Identifier: BSD-2-Clause
"""What the master must not lose, as commits, and the log that keeps them.

A commit is a list of puts and deletes of records, each with a kind and a key, plus who made it,
why and by which job. It is kept whole or not at all. Nothing here speaks of files: a log on a
replicated store fits behind the same interface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
from zope.interface import Interface

from ganeti.errors import GanetiError
from ganeti.schema.records import Record

Position: TypeAlias = int
"""The number of a commit: the first is 1, each one more than the one before."""

NO_DIGEST = bytes(32)
"""Stands for the digest of the frame before the first."""


class JournalDamaged(GanetiError):
    """What is kept does not verify, and nothing but a person should decide what to do about it."""


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A place in the log: the position of a commit, and the SHA-256 digest of its frame.

    Every frame holds the digest of the one before, so two logs that agree on a mark agree on
    everything up to it.
    """

    position: Position
    digest: bytes


BEGINNING = LogPosition(0, NO_DIGEST)
"""The mark of an empty log."""


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


Observer: TypeAlias = Callable[[Position, Commit], None]
"""Called with a commit and its position."""


class IJournal(Interface):
    """An append-only log of commits; what it has taken survives a crash."""

    async def append(commit: Commit) -> Position:
        """Keep ``commit``; when this returns it is durable, here and with every replica in the set.

        Commits of one turn share a sync. A commit is kept whole or not at all, in the order of
        the calls, and the calls return in that order. A commit that was handed over cannot be
        called back: cancelling the call does nothing.

        :raises NotKept: the log could not keep it, nor anything that was asked after it; it
            takes nothing more until ``reopen`` has succeeded.
        """

    async def reopen() -> None:
        """After a failure: cut off what was not acknowledged and take commits again.

        :raises NotKept: the cause of the failure is still there.
        :raises NotMaster: a replica follows a newer master; the log takes nothing ever again.
        """

    def replay(after: Position) -> Iterable[tuple[Position, Commit]]:
        """Every commit after ``after``, oldest first, read as it is asked for.

        :raises Damaged: a frame that is not the torn end of the log does not verify; the message
            names the file and the place, and says what to do. Also when commits after ``after``
            are no longer, or not yet, in the log.
        """

    def end() -> Position:
        """The position of the last durable commit; 0 if there is none."""

    def observe(observer: Observer) -> None:
        """Call ``observer`` with each commit once it is durable, in their order.

        It is called before ``append`` returns to whoever made the commit.
        """

    def unobserve(observer: Observer) -> None:
        """Do not call ``observer`` any more."""

    async def forget(before: Position) -> None:
        """Commits before ``before`` are in a checkpoint and may go, as whole segments."""


class IReplicas(Interface):
    """Copies of the log on other hosts, which get every group of frames as it is written."""

    async def keep(after: LogPosition, frames: bytes, end: LogPosition) -> None:
        """Keep whole frames that follow ``after`` and end with ``end``.

        They are durable with every replica that counts as in sync when this returns. A replica that
        fails or is late is put out of the set first, which takes a majority of the voting nodes.

        :raises NotMaster: a replica follows a newer master; nothing may be acknowledged any more.
        """

    async def confirm() -> None:
        """Return when this master may acknowledge: it holds the lease of a majority.

        :raises NotMaster: there is a newer master.
        """

    def cut(end: LogPosition) -> None:
        """The log could not keep what follows ``end``: it was never acknowledged and is void."""
