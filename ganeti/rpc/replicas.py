# SPDX-License-Identifier: BSD-2-Clause
"""Calls that keep a copy of the journal and its checkpoints with the master candidates."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from ganeti.rpc.call import Call
from ganeti.rpc.callers import ELECTORATE
from ganeti.schema.records import Record
from ganeti.schema.types import Count

CheckpointFile: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"\A(access\.json|config\.data|journal/checkpoint"
        r"|queue/(serial|version|drain|job-[1-9][0-9]{0,15}))\Z"
    ),
]
"""A file of a checkpoint, by its path below a node's data folder, where there are keys, too."""


Digest: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]*\Z")]
"""SHA-256 in hex; empty where there is no commit."""


class ReplicaEnd(Record):
    """A mark of the journal: a position and, in hex, the digest of the frame there."""

    position: Count
    digest: Digest


class AppendFrames(Call[ReplicaEnd]):
    """Append whole frames, base64 of the bytes on the master's disk; durable when answered.

    ``after`` is the end the frames must follow; a node whose copy ends elsewhere fails and keeps
    nothing. With ``cut``, what the copy has after that mark was never acknowledged and is cut off
    first; then there may be no frames. A copy whose checkpoint holds more than ``after`` fails.
    """

    wire = "journal_append"
    call_timeout = 10

    after: ReplicaEnd
    frames: str
    cut: bool = False


class DescribeReplica(Call[ReplicaEnd]):
    """Return where the node's copy of the journal ends, or its mark ``at`` a position.

    A node fails whose copy does not have that commit, or whose checkpoint and frames are not of
    one history.
    """

    wire = "journal_end"
    call_timeout = 10
    callers = ELECTORATE

    at: Count | None = None


class FrameBatch(Record):
    """Whole frames in base64, and the mark that they end with."""

    frames: str
    end: ReplicaEnd


class ReadFrames(Call[FrameBatch]):
    """Return about a MiB of the copy's frames that follow ``after``; none at its end."""

    wire = "journal_read"
    call_timeout = 30

    after: ReplicaEnd


class ResetReplica(Call[ReplicaEnd]):
    """Replace the copy by a checkpoint: files, base64 by name, and the end they stand for.

    Names are ``CheckpointFile``. Files that are not named go away in the queue's folder, and stay
    elsewhere.
    """

    wire = "journal_reset"
    call_timeout = 60

    files: dict[CheckpointFile, str]
    end: ReplicaEnd


class KeepCheckpoint(Call[ReplicaEnd]):
    """Keep a newer checkpoint beside the copy, and forget the segments that it makes needless.

    ``files`` and ``end`` as for ``ResetReplica``; the copy must have the frame of ``end``.
    """

    wire = "journal_checkpoint"
    call_timeout = 60

    files: dict[CheckpointFile, str]
    end: ReplicaEnd
