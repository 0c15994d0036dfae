# SPDX-License-Identifier: BSD-2-Clause
"""The marker of a checkpoint: which commits its files hold, by position and digest.

A position alone says nothing of two histories that have parted, so a copy of the journal is whole
only if the marks of its checkpoint are in its log.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from ganeti.errors import Code, Failed
from ganeti.journal.interfaces import BEGINNING, JournalDamaged, LogPosition, Position
from ganeti.journal.segments import NotInSegments
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record
from ganeti.system.interfaces import IFiles


class FileMark(Record):
    """A mark in a file: the digest in hex."""

    position: Position
    digest: str

    def mark(self) -> LogPosition:
        """:raises ValueError: the digest is none."""
        return LogPosition(self.position, bytes.fromhex(self.digest))


def written(mark: LogPosition) -> FileMark:
    """Return a mark as a file has it."""
    return FileMark(position=mark.position, digest=mark.digest.hex())


class Marker(Record):
    """``holds`` is the last commit that the files hold for certain, ``newest`` the last they may.

    The two differ only while files are being replaced, or after a crash in between.
    ``config_digests`` identify the ``config.data`` that the master daemon has written, or is about
    to write; without them, nothing is known of that.
    """

    holds: FileMark = written(BEGINNING)
    newest: FileMark = written(BEGINNING)
    config_digests: tuple[str, ...] = ()

    @property
    def position(self) -> Position:
        """After which commits are to be replayed."""
        return self.holds.position


def complete(mark: LogPosition, config_digests: tuple[str, ...] = ()) -> bytes:
    """Return the marker of files that hold everything up to ``mark``, encoded."""
    marker = Marker(holds=written(mark), newest=written(mark), config_digests=config_digests)
    return msgspec.json.encode(marker)


def replacing(before: Marker, mark: LogPosition, config_digests: tuple[str, ...] = ()) -> bytes:
    """Return the marker, encoded, for the time in which files become those of ``mark``."""
    # Nothing is known of a file that was there before the first marker, or came from a master.
    digests = (*before.config_digests, *config_digests) if before.config_digests else ()
    return msgspec.json.encode(
        Marker(holds=before.holds, newest=written(mark), config_digests=digests)
    )


def marker_at(files: IFiles, path: str) -> Marker:
    """Return the marker in a file; without one, the checkpoint is what the journal begins with.

    :raises Failed: it is damaged.
    """
    if files.stat(path) is None:
        return Marker()
    try:
        marker = msgspec.json.decode(files.read(path), type=Marker)
        marker.holds.mark(), marker.newest.mark()
    except (*UNREADABLE, ValueError) as e:
        raise Failed(
            f"{path} is damaged: {e}. Copy it, with config.data, the queue and the journal, from"
            " another master candidate",
            Code.ENVIRONMENT,
        ) from None
    return marker


class Log(Protocol):
    """What is asked of a log: which commits it has."""

    def begins_after(self) -> Position: ...

    def mark_at(self, position: Position) -> LogPosition: ...


def require_one_history(marker: Marker, log: Log, folder: str) -> None:
    """Refuse a checkpoint whose marks are not in the log beside it.

    :raises Damaged: they are not, so the files and the frames are of different histories or times.
    """
    for mark in (marker.holds.mark(), marker.newest.mark()):
        try:
            same = log.mark_at(mark.position) == mark
        except NotInSegments:
            same = False
        if not same:
            raise JournalDamaged(
                f"the checkpoint in {folder} holds commit {mark.position}, which is not in the"
                f" journal beside it (which begins with commit {log.begins_after() + 1}): the two"
                " are not of one history. Make a master candidate that is in sync the master, or"
                " restore both from one candidate or one backup"
            )
