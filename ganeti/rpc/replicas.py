# SPDX-License-Identifier: BSD-2-Clause
"""Calls that keep a copy of the journal and its checkpoints with the master candidates."""

from __future__ import annotations

from ganeti.rpc.call import Call
from ganeti.schema.records import Record


class ReplicaEnd(Record):
    """How far a node's copy of the journal reaches, and the hash of its last frame in hex."""

    position: int
    digest: str


class KeepFrames(Call[ReplicaEnd]):
    """Append whole frames, base64 of the bytes on the master's disk; durable when answered.

    ``after`` is the end the frames must follow; a node whose copy ends elsewhere fails and keeps
    nothing.
    """

    wire = "journal_append"
    patience = 10

    after: ReplicaEnd
    frames: str


class DescribeReplica(Call[ReplicaEnd]):
    """Where the node's copy of the journal ends."""

    wire = "journal_end"
    patience = 10


class ResetReplica(Call[ReplicaEnd]):
    """Replace the copy by a checkpoint: files, base64 by name, and the end they stand for."""

    wire = "journal_reset"
    patience = 60

    files: dict[str, str]
    end: ReplicaEnd
