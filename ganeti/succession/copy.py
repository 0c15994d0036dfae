# SPDX-License-Identifier: BSD-2-Clause
"""This node's copy of the journal and its checkpoint, while no daemon writes to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ganeti.config.changes.cluster import update_cluster
from ganeti.config.formats import loaded
from ganeti.config.replay import apply
from ganeti.config.state import ClusterState
from ganeti.config.writer import Cause, commit_of, stamped
from ganeti.errors import Code, Failed, Refused
from ganeti.journal.frames import commit_of as read_commit
from ganeti.journal.frames import digest_of, encode
from ganeti.journal.in_sync import marker_at, record_of, recorded
from ganeti.journal.interfaces import Damaged, Mark
from ganeti.journal.segments import Segments
from ganeti.model.node import Node
from ganeti.system.interfaces import IFiles


@dataclass(frozen=True)
class Copy:
    """What the copy says: the configuration, who has every acknowledged commit, and its end."""

    state: ClusterState
    in_sync: frozenset[str]
    end: Mark

    def node(self, name: str) -> Node:
        """The node of this name.

        :raises Refused: the cluster has none.
        """
        return self.state.node(name)

    def is_whole(self, node: Node) -> bool:
        """Whether nothing that was acknowledged is missing, if it is this node's copy."""
        return node.uuid in (self.state.cluster.master_node, *self.in_sync)


async def read(files: IFiles, data: str) -> Copy:
    """The copy below the folder ``data``.

    :raises Failed: it is damaged, or there is none.
    """
    async with _opened(files, data) as segments:
        return _read(files, data, segments)


async def take_over(files: IFiles, data: str, name: str, *, now: float) -> ClusterState:
    """Make the node ``name`` the master, in its own copy: durable when this returns.

    What no other copy has yet is in this commit, so none of them counts as in sync after it.

    :raises Refused: the cluster has no such node, or it is no master candidate.
    :raises Failed: the copy is damaged, or there is none.
    :raises OSError: it could not be written.
    """
    async with _opened(files, data) as segments:
        copy = _read(files, data, segments)
        node, before = copy.node(name), copy.state
        if not node.master_candidate:
            raise Refused(f"node {name} is no master candidate, so it has no copy to go on from")
        changed = update_cluster(master_node=node.uuid)(before)
        after, edits = stamped(before, changed, now)
        because = Cause("master-failover", f"{name} is the master, after {before.master.name}")
        commit = commit_of(before, after, edits, because, now, [record_of(())])
        frame = encode(commit, segments.end.digest, 0)
        await segments.write(frame, Mark(segments.end.position + 1, digest_of(frame)))
        return after


@asynccontextmanager
async def _opened(files: IFiles, data: str) -> AsyncIterator[Segments]:
    segments = Segments(files, f"{data}/journal")
    try:
        await segments.open()
        yield segments
    except Damaged as e:
        raise Failed(str(e), Code.ENVIRONMENT) from e
    finally:
        await segments.close()


def _read(files: IFiles, data: str, segments: Segments) -> Copy:
    path = f"{data}/config.data"
    if files.stat(path) is None:
        raise Failed(
            f"there is no {path}: this node keeps no copy of the cluster's state. Run this on a"
            " master candidate (ssconf_master_candidates lists them)",
            Code.ENVIRONMENT,
        )
    state = loaded(files.read(path), ids=_no_id)
    marker = marker_at(files, f"{data}/journal/checkpoint")
    in_sync = frozenset(marker.in_sync)
    if not segments.begins_after() <= marker.position <= segments.end.position:
        raise Failed(
            f"the checkpoint in {data} and the journal there are not of the same time; make"
            " another master candidate the master",
            Code.ENVIRONMENT,
        )
    for bytes_, frame in segments.frames(marker.position):
        edits = read_commit(bytes_, frame).edits
        state, in_sync = apply(state, edits), recorded(edits, in_sync)
    return Copy(state.settled(), in_sync, segments.end)


def _no_id() -> str:
    raise Failed("config.data is of an older release; start the master daemon on its master once")
