# SPDX-License-Identifier: BSD-2-Clause
"""This node's copy of the journal and its checkpoint, from which it can become the master."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.config import access
from ganeti.config.changes.cluster import update_cluster
from ganeti.config.formats import loaded
from ganeti.config.replay import apply
from ganeti.config.state import ClusterState
from ganeti.config.writer import Cause, commit_of, stamped
from ganeti.errors import Code, Failed, Refused
from ganeti.journal.frames import digest_of, encode
from ganeti.journal.in_sync import marker_at, record_of, recorded
from ganeti.journal.interfaces import Damaged, Mark, Position
from ganeti.journal.reading import history
from ganeti.journal.segments import Segments
from ganeti.system.interfaces import IFiles


@dataclass(frozen=True)
class Copy:
    """What the copy says: the configuration, who has every acknowledged commit, and its end."""

    state: ClusterState
    in_sync: frozenset[str]
    end: Position

    def is_whole(self, name: str) -> bool:
        """Whether nothing that was acknowledged is missing, if this is the copy of that node.

        :raises Refused: the cluster has no such node.
        """
        uuid = self.state.node(name).uuid
        return uuid in (self.state.cluster.master_node, *self.in_sync)


def read(files: IFiles, data: str) -> Copy:
    """The copy below the folder ``data``, which others may write to meanwhile.

    :raises Failed: it is damaged, or there is none.
    """
    path = f"{data}/config.data"
    if files.stat(path) is None:
        raise Failed(
            f"there is no {path}: this node keeps no copy of the cluster's state. Run this on a"
            " master candidate; ssconf_master_candidates lists them",
            Code.ENVIRONMENT,
        )
    marker = marker_at(files, f"{data}/journal/checkpoint")
    state, in_sync = loaded(files.read(path), ids=_no_id), frozenset(marker.in_sync)
    beside = f"{data}/{access.NAME}"
    state = access.restore(state, files.read(beside) if files.stat(beside) is not None else None)
    first = end = None
    try:
        for end, commit in history(files, f"{data}/journal"):
            first = first or end
            if end > marker.position:
                state = apply(state, commit.edits)
                in_sync = recorded(commit.edits, in_sync)
    except Damaged as e:
        raise Failed(str(e), Code.ENVIRONMENT) from e
    if first is not None and first > marker.position + 1:
        raise Failed(
            f"the checkpoint in {data} ends with commit {marker.position}, and the journal there"
            f" begins with {first}; make another master candidate the master",
            Code.ENVIRONMENT,
        )
    return Copy(state.settled(), in_sync, max(end or 0, marker.position))


async def take_over(files: IFiles, data: str, name: str, *, now: float) -> ClusterState:
    """Make the node ``name`` the master, in its own copy, which nobody else may write to.

    It is durable when this returns. What no other copy has yet is in this commit, so none of them
    counts as in sync after it.

    :raises Refused: the cluster has no such node, or it is no master candidate.
    :raises Failed: the copy is damaged, or there is none.
    :raises OSError: it could not be written.
    """
    before = read(files, data).state
    node = before.node(name)
    if not node.master_candidate:
        raise Refused(f"node {name} is no master candidate, so it has no copy to go on from")
    after, edits = stamped(before, update_cluster(master_node=node.uuid)(before), now)
    because = Cause("master-failover", f"{name} is the master, after {before.master.name}")
    commit = commit_of(before, after, edits, because, now, [record_of(())])
    segments = Segments(files, f"{data}/journal")
    await segments.open()
    try:
        frame = encode(commit, segments.end.digest, 0)
        await segments.write(frame, Mark(segments.end.position + 1, digest_of(frame)))
    finally:
        await segments.close()
    return after


def _no_id() -> str:
    raise Failed("config.data is of an older release; start the master daemon on its master once")
