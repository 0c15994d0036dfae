# SPDX-License-Identifier: BSD-2-Clause
"""Calls that replicate the journal and its checkpoints to the master candidates."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from ganeti.rpc.call import Call
from ganeti.rpc.callers import CANDIDATES
from ganeti.schema.records import Record
from ganeti.schema.types import Count

CheckpointFile: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"\A(access\.json|config\.data|journal/checkpoint"
        r"|queue/(serial|version|drain|job-[1-9][0-9]{0,15}))\Z"
    ),
]
"""The path of a checkpoint file below a node's data directory. The pattern is strict because that
directory also has the private keys."""


Digest: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]*\Z")]
"""A SHA-256 digest in hex; empty if there is no commit."""


class ReplicaEnd(Record):
    """A mark of the journal: a position, and the digest of the frame there in hex."""

    position: Count
    digest: Digest


ReplicaHandle: TypeAlias = Annotated[str, Meta(max_length=64)]
"""What proves that a call is of the latest attempt to replicate to a node; see ``OpenReplica``."""


class OpenReplica(Call[ReplicaHandle]):
    """Return a handle for changes of the copy; calls with an earlier one fail from then on.

    A call that was given up may arrive later, even after those of the next attempt. Without a
    handle, it would cut off commits that were acknowledged meanwhile, or store some that were given
    up by all.
    """

    wire = "journal_open"
    call_timeout = 10


class AppendFrames(Call[ReplicaEnd]):
    """Append complete frames (base64 of the bytes in the master's log); durable when this returns.

    ``after`` is the end of the log that the frames follow; a node whose copy ends elsewhere fails
    and stores nothing. ``cut`` first truncates the copy after that mark, as frames there were never
    acknowledged; ``frames`` may then be empty. A copy whose checkpoint is newer than ``after``
    fails. Masters of earlier releases have no ``handle``.
    """

    wire = "journal_append"
    call_timeout = 10

    after: ReplicaEnd
    frames: str
    cut: bool = False
    handle: ReplicaHandle = ""


class DescribeReplica(Call[ReplicaEnd]):
    """Return the end of the node's copy of the journal, or its mark ``at`` a position.

    The call fails if the copy does not have that commit, or if its checkpoint and frames do not
    belong to the same history.
    """

    wire = "journal_end"
    call_timeout = 10
    callers = CANDIDATES

    at: Count | None = None


class FrameBatch(Record):
    """Complete frames in base64, and the mark of the last one."""

    frames: str
    end: ReplicaEnd


class ReadFrames(Call[FrameBatch]):
    """Return about one MiB of frames that follow ``after``; none at the end of the copy."""

    wire = "journal_read"
    call_timeout = 30

    after: ReplicaEnd


class ResetReplica(Call[ReplicaEnd]):
    """Replace the copy by a checkpoint: ``files`` (base64 by path), and the ``end`` they represent.

    Other files in the queue directory are removed; other files elsewhere stay.
    """

    wire = "journal_reset"
    call_timeout = 60

    files: dict[CheckpointFile, str]
    end: ReplicaEnd
    handle: ReplicaHandle = ""


class StoreCheckpoint(Call[ReplicaEnd]):
    """Store a newer checkpoint, and delete the log segments that it makes obsolete.

    ``files`` and ``end`` are as for ``ResetReplica``; the copy must have the frame of ``end``.
    """

    wire = "journal_checkpoint"
    call_timeout = 60

    files: dict[CheckpointFile, str]
    end: ReplicaEnd
