# SPDX-License-Identifier: BSD-2-Clause
"""The marker of a checkpoint: the log position that its files correspond to.

A position without a digest does not distinguish two histories that have diverged. A copy of the
journal is therefore complete only if the log positions of its checkpoint are in its log.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from ganeti.errors import Code, Failed
from ganeti.journal.interfaces import (
    BEGINNING,
    IF_LATER_RELEASE,
    JournalDamaged,
    LogPosition,
    Position,
)
from ganeti.journal.segments import PositionNotFound
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record
from ganeti.system.interfaces import IFiles


class StoredLogPosition(Record):
    """A log position as a file stores it, with the digest in hexadecimal."""

    position: Position
    digest: str

    def mark(self) -> LogPosition:
        """Return the log position.

        :raises ValueError: the digest is not hexadecimal.
        """
        return LogPosition(self.position, bytes.fromhex(self.digest))


def written(mark: LogPosition) -> StoredLogPosition:
    """Return a log position in the form that a file stores."""
    return StoredLogPosition(position=mark.position, digest=mark.digest.hex())


class CheckpointMarker(Record):
    """The last commit that the files contain for certain (``holds``), and possibly (``newest``).

    The two differ only while files are being replaced, or after a crash during that.
    ``config_digests`` identify the ``config.data`` that the master daemon has written or is about
    to write; empty means that this is unknown.
    """

    holds: StoredLogPosition = written(BEGINNING)
    newest: StoredLogPosition = written(BEGINNING)
    config_digests: tuple[str, ...] = ()

    @property
    def position(self) -> Position:
        """The position after which commits must be replayed."""
        return self.holds.position


def complete(mark: LogPosition, config_digests: tuple[str, ...] = ()) -> bytes:
    """Return the encoded marker of files that contain everything up to ``mark``."""
    marker = CheckpointMarker(
        holds=written(mark), newest=written(mark), config_digests=config_digests
    )
    return msgspec.json.encode(marker)


def encode_transition_marker(
    before: CheckpointMarker, mark: LogPosition, config_digests: tuple[str, ...] = ()
) -> bytes:
    """Return the encoded marker for the period in which files are replaced by those of ``mark``."""
    # A file that is older than the first marker, or came from a master, has no known digest.
    digests = (*before.config_digests, *config_digests) if before.config_digests else ()
    return msgspec.json.encode(
        CheckpointMarker(holds=before.holds, newest=written(mark), config_digests=digests)
    )


def read_marker(files: IFiles, path: str) -> CheckpointMarker:
    """Return the marker in a file; without a file, that of an empty checkpoint.

    :raises Failed: the file is damaged.
    """
    if files.stat(path) is None:
        return CheckpointMarker()
    try:
        marker = msgspec.json.decode(files.read(path), type=CheckpointMarker)
        # Decoded here, so that a damaged digest is found now, and not by the first comparison.
        marker.holds.mark(), marker.newest.mark()
    except (*UNREADABLE, ValueError) as e:
        raise Failed(
            f"{path} is damaged: {e}. Copy it, with config.data, the queue and the journal,"
            f" from another master candidate. {IF_LATER_RELEASE}",
            Code.ENVIRONMENT,
        ) from None
    return marker


class Log(Protocol):
    """The log positions of a log, as far as a checkpoint is compared with them."""

    def base_position(self) -> Position: ...

    def find_log_position(self, position: Position) -> LogPosition: ...


def check_same_history(marker: CheckpointMarker, log: Log, folder: str) -> None:
    """Check that the log positions of a checkpoint are in the log beside it.

    :raises JournalDamaged: they are not, so that files and log are of different histories or times.
    """
    # The newest, too: some files may already have commits up to it.
    for mark in (marker.holds.mark(), marker.newest.mark()):
        try:
            same = log.find_log_position(mark.position) == mark
        except PositionNotFound:
            same = False
        if not same:
            raise JournalDamaged(
                f"the checkpoint in {folder} contains commit {mark.position}, which is not in the"
                f" journal beside it (first commit: {log.base_position() + 1}): their histories"
                " differ. Fail over to a master candidate that is in sync, or restore both from one"
                " candidate or one backup"
            )
