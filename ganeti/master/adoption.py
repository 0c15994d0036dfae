# SPDX-License-Identifier: BSD-2-Clause
"""Adoption of commits by a new master: it fetches those that other copies have and it lacks.

Its own disk may have lost commits (a torn write, a restored backup), and these must not be cut off
from other copies.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Collection, Iterable, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ganeti.errors import Code, Failed, Refused
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import LogPosition
from ganeti.journal.segments import PositionNotFound
from ganeti.master.follower import to_wire
from ganeti.master.mastership import check_in_sync
from ganeti.model.node import Node
from ganeti.rpc.call import Nodes
from ganeti.rpc.quorum import ReplicaSet
from ganeti.rpc.replicas import DescribeReplica, ReadFrames, ReplicaEnd

_log = Logger()

RELEASE_RETRY_DELAY, RELEASE_TIMEOUT = 0.5, 4.0
"""Seconds between two queries for a copy that a master daemon has in use, and in total.

The total must be shorter than the time for which a node keeps its vote.
"""


async def adopt(
    journal: FileJournal,
    nodes: Nodes,
    candidates: Collection[Node],
    replica_set: ReplicaSet,
    acknowledged: Mapping[str, ReplicaEnd],
    name: str,
    clock: IReactorTime,
    *,
    accept_loss: bool = False,
) -> bool:
    """Append the commits that other ``candidates`` have after the end of this journal.

    Copies that are not in sync only replace acknowledged commits that this disk has lost.
    ``replica_set`` is the newest one on a majority of the voters, ``acknowledged`` the newest
    commit that each voter knows to be acknowledged. The master ``name`` has been granted its term,
    so that no copy changes meanwhile. Return whether any commits were appended.

    :raises Refused: acknowledged commits are missing, or may be missing, from this copy; the
        message names the node to use.
    """
    if not accept_loss:
        check_in_sync(replica_set, name)

    def lacks_acknowledged() -> bool:
        return any(not _has_acknowledged(journal, mark) for mark in acknowledged.values())

    adopted = False
    ends = await _query_ends(nodes, candidates, clock)
    ahead: list[str] = []
    # The longest copy first: after it, the others have nothing to add.
    for node in sorted(candidates, key=lambda each: _position(ends[each.uuid]), reverse=True):
        end = ends[node.uuid]
        if isinstance(end, Failed) or end.position <= journal.end_position().position:
            continue
        if node.name not in replica_set.in_sync and not accept_loss and not lacks_acknowledged():
            # The master before has given up what only this copy has, and may have undone what
            # depended on it.
            continue
        if await _contains_position(nodes, node, journal.end_position()):
            await _fetch_commits(journal, nodes, node)
            adopted = True
        elif node.name in replica_set.in_sync:
            # Other copies may have commits that were never acknowledged.
            ahead.append(node.name)
    if not accept_loss:
        _check_complete(journal, ahead, acknowledged, replica_set, name)
    return adopted


async def _query_ends(
    nodes: Nodes, candidates: Collection[Node], clock: IReactorTime
) -> Mapping[str, ReplicaEnd | Failed]:
    """Query the ends of the copies; return them by UUID of the node.

    A frozen or competing master daemon may have a copy in use; it is read after the time-out all
    the same.
    """
    waited = 0.0
    while True:
        ends = await nodes.ask_all(list(candidates), DescribeReplica())
        busy = any(
            isinstance(end, Failed) and end.code is Code.ENVIRONMENT for end in ends.values()
        )
        if not busy or waited >= RELEASE_TIMEOUT:
            return ends
        await deferLater(clock, RELEASE_RETRY_DELAY)
        waited += RELEASE_RETRY_DELAY


def _position(end: ReplicaEnd | Failed) -> int:
    return -1 if isinstance(end, Failed) else end.position


async def _contains_position(nodes: Nodes, node: Node, mark: LogPosition) -> bool:
    try:
        return await nodes.ask(node, DescribeReplica(at=mark.position)) == to_wire(mark)
    except Failed:
        return False


async def _fetch_commits(journal: FileJournal, nodes: Nodes, node: Node) -> None:
    before = journal.end_position().position
    while True:
        after = journal.end_position()
        batch = await nodes.ask(node, ReadFrames(after=to_wire(after)))
        if not batch.frames:
            break
        end = LogPosition(batch.end.position, bytes.fromhex(batch.end.digest))
        await journal.adopt(b64decode(batch.frames), end)
    _log.warn(
        "commits {first} to {last} were missing from the journal and were fetched from {node}",
        first=before + 1,
        last=journal.end_position().position,
        node=node.name,
    )


def _check_complete(
    journal: FileJournal,
    ahead: Iterable[str],
    acknowledged: Mapping[str, ReplicaEnd],
    replica_set: ReplicaSet,
    name: str,
) -> None:
    """Check that this copy has every commit that others have or know to be acknowledged.

    :raises Refused: commits are missing; the message names them and the node to use.
    """
    problems = [f"the copy on {node} has more commits" for node in ahead]
    for voter, mark in sorted(acknowledged.items()):
        if not _has_acknowledged(journal, mark):
            problems.append(f"{voter} knows commit {mark.position} to be acknowledged")
    if problems:
        others = [each for each in replica_set.in_sync if each != name]
        better = ", ".join(ahead) or ", ".join(others) or "a node with a backup"
        raise Refused(
            f"acknowledged commits are missing from the journal on {name}, which ends with"
            f" commit {journal.end_position().position}: {'; '.join(problems)}. Make {better} the"
            " master (gnt-cluster master-failover there), or accept the loss of those commits:"
            " gnt-cluster master-failover --accept-loss",
            Code.STATE,
        )


def _has_acknowledged(journal: FileJournal, mark: ReplicaEnd) -> bool:
    if mark.position < journal.base_position():
        return True  # removed here, after a checkpoint that contains it
    try:
        return mark.position == 0 or to_wire(journal.find_log_position(mark.position)) == mark
    except PositionNotFound:
        return False
