# SPDX-License-Identifier: BSD-2-Clause
"""Commits, and the interface of the log that stores them.

A commit is a list of puts, appends and deletes of records, each with a kind and a key, plus its
author, reason and job. It is stored whole or not at all. The interface does not mention files: a
log on a replicated store can implement it too.
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
"""The number of a commit; the first is 1, each following one is larger by 1."""

ZERO_DIGEST = bytes(32)
"""The digest that stands in the first frame for the missing previous frame."""


LATER_RELEASE = "a later release has written it; run that release, or a newer one"
"""The reason why data that verifies has an unknown form, and the action to take."""

IF_LATER_RELEASE = "If a later release has run here, run that release again, or a newer one"
"""The action to take when it is unknown whether data is damaged or of a later release."""


class JournalDamaged(GanetiError):
    """A log that does not verify; an administrator has to decide how to repair it."""


class StoreError(OSError):
    """A store on other hosts that cannot store commits; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A position in the log: the number of a commit and the SHA-256 digest of its frame.

    Every frame contains the digest of the previous one, so that two logs which agree on a log
    position agree on everything before it.
    """

    position: Position
    digest: bytes


BEGINNING = LogPosition(0, ZERO_DIGEST)
"""The position of an empty log."""


class Put(Record, tag="put", tag_field="do"):
    """Sets the record of this kind and key to ``value``, encoded as JSON."""

    kind: str
    key: str
    value: msgspec.Raw


class Append(Record, tag="append", tag_field="do"):
    """Appends ``value``, encoded as JSON, to the record of this kind and key."""

    kind: str
    key: str
    value: msgspec.Raw


class Delete(Record, tag="delete", tag_field="do"):
    """Deletes the record of this kind and key."""

    kind: str
    key: str


Edit: TypeAlias = Put | Append | Delete


class Commit(Record, omit_defaults=True):
    """Edits that are applied together; ``at`` is in seconds since the epoch."""

    at: float
    who: str
    why: str
    job: int | None = None
    edits: tuple[Edit, ...]


Observer: TypeAlias = Callable[[Position, Commit], None]
"""Called with the position of a commit and the commit."""


class IJournal(Interface):
    """An append-only log of commits; acknowledged commits survive a crash."""

    async def append(commit: Commit) -> Position:
        """Store ``commit``; it is durable here and on every in-sync replica when this returns.

        Commits of one reactor turn share a sync. A commit is stored whole or not at all; commits
        are stored, and calls return, in the order of the calls. A submitted commit cannot be
        revoked: cancelling the call does nothing.

        :raises CommitFailed: the commit and all that were submitted after it were not stored; the
            log accepts no commits until ``reopen`` succeeds.
        """

    async def reopen() -> None:
        """Truncate unacknowledged commits after a failure and accept commits again.

        :raises CommitFailed: the cause of the failure persists.
        :raises NotMaster: a replica follows a newer master; the log never accepts commits again.
        """

    def replay(after: Position) -> Iterable[tuple[Position, Commit]]:
        """Yield every commit after ``after``, oldest first; reads lazily.

        :raises JournalDamaged: a frame that is not the torn end of the log does not verify, or
            commits after ``after`` are not in the log; the message names the file, the offset and
            the action to take.
        """

    def last_commit() -> Position:
        """Return the position of the last durable commit; 0 if there are none."""

    def observe(observer: Observer) -> None:
        """Call ``observer`` with each commit when it is durable, in order.

        The observer is called before ``append`` returns to the author of the commit.
        """

    def unobserve(observer: Observer) -> None:
        """Stop calling ``observer``."""

    async def remove_before(before: Position) -> None:
        """Remove whole segments of commits before ``before``, which a checkpoint contains."""


class IReplicas(Interface):
    """Copies of the log on other hosts; each group of frames is sent to them as it is written."""

    async def store_frames(after: LogPosition, frames: bytes, end: LogPosition) -> None:
        """Store complete frames that follow ``after`` and end at ``end``.

        They are durable on every in-sync replica when this returns. A replica that fails or is late
        is first removed from the in-sync set, which takes a majority of the voting nodes.

        :raises NotMaster: a replica follows a newer master; no commit may be acknowledged any more.
        :raises StoreError: the frames were not stored.
        """

    async def confirm_lease() -> None:
        """Return when this master may acknowledge commits: it holds the lease of a majority.

        :raises NotMaster: there is a newer master.
        """

    def discard_after(end: LogPosition) -> None:
        """Discard frames after ``end``, which the log could not store and never acknowledged."""

    async def probe() -> None:
        """Return if frames can be stored again after a failure.

        :raises OSError: they cannot.
        :raises NotMaster: there is a newer master.
        """
