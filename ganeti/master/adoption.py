# SPDX-License-Identifier: BSD-2-Clause
"""Before its first commit, a new master takes over what other copies have and its own lacks.

Its own disk may have lost something (a torn write, a restored backup), and what it does not have
must not be cut off elsewhere.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Collection, Iterable, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ganeti.errors import Code, Failed, Refused
from ganeti.journal.file import FileJournal
from ganeti.journal.interfaces import LogPosition
from ganeti.journal.segments import NotInSegments
from ganeti.master.follower import to_wire
from ganeti.master.mastership import require_in_sync
from ganeti.model.node import Node
from ganeti.rpc.call import Nodes
from ganeti.rpc.quorum import ReplicaSet
from ganeti.rpc.replicas import DescribeReplica, ReadFrames, ReplicaEnd

_log = Logger()

RELEASE_PAUSE, RELEASE_TIMEOUT = 0.5, 4.0
"""Seconds between two questions for a copy that cannot be read, as while a master daemon there
changes its files, and for how long it is asked for: less than a node keeps its promise."""


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
    """Append what the other ``candidates``' copies have after the end of this one.

    ``replica_set`` is the newest that a majority of the voters has, ``acknowledged`` what each of
    them knows to be acknowledged. The answer says whether anything was appended. The master
    ``name`` has been granted its term, so no copy changes meanwhile.

    :raises Refused: this copy lacks what was acknowledged, or may; says which node to use.
    """
    if not accept_loss:
        require_in_sync(replica_set, name)
    adopted = False
    ends = await _ends(nodes, candidates, clock)
    ahead: list[str] = []
    for node in sorted(candidates, key=lambda each: _position(ends[each.uuid]), reverse=True):
        end = ends[node.uuid]
        if isinstance(end, Failed) or end.position <= journal.end_mark().position:
            continue
        if await _has(nodes, node, journal.end_mark()):
            await _fetch(journal, nodes, node)
            adopted = True
        elif node.name in replica_set.in_sync:
            ahead.append(node.name)
    if not accept_loss:
        _require_all(journal, ahead, acknowledged, replica_set, name)
    return adopted


async def _ends(
    nodes: Nodes, candidates: Collection[Node], clock: IReactorTime
) -> Mapping[str, ReplicaEnd | Failed]:
    """Ask where the copies end, by UUID.

    A master daemon that is frozen, or wanted the role as well, may have a copy in use; it is read
    all the same.
    """
    waited = 0.0
    while True:
        ends = await nodes.ask_all(list(candidates), DescribeReplica())
        busy = any(
            isinstance(end, Failed) and end.code is Code.ENVIRONMENT for end in ends.values()
        )
        if not busy or waited >= RELEASE_TIMEOUT:
            return ends
        await deferLater(clock, RELEASE_PAUSE)
        waited += RELEASE_PAUSE


def _position(end: ReplicaEnd | Failed) -> int:
    return -1 if isinstance(end, Failed) else end.position


async def _has(nodes: Nodes, node: Node, mark: LogPosition) -> bool:
    try:
        return await nodes.ask(node, DescribeReplica(at=mark.position)) == to_wire(mark)
    except Failed:
        return False


async def _fetch(journal: FileJournal, nodes: Nodes, node: Node) -> None:
    before = journal.end_mark().position
    while True:
        after = journal.end_mark()
        batch = await nodes.ask(node, ReadFrames(after=to_wire(after)))
        if not batch.frames:
            break
        end = LogPosition(batch.end.position, bytes.fromhex(batch.end.digest))
        await journal.adopt(b64decode(batch.frames), end)
    _log.warn(
        "commits {first} to {last} were missing here and came from {node}",
        first=before + 1,
        last=journal.end_mark().position,
        node=node.name,
    )


def _require_all(
    journal: FileJournal,
    ahead: Iterable[str],
    acknowledged: Mapping[str, ReplicaEnd],
    replica_set: ReplicaSet,
    name: str,
) -> None:
    """Refuse to go on without what others have or have heard of.

    :raises Refused: says what is missing, and which node to use.
    """
    problems = [f"the copy on {node} has more commits" for node in ahead]
    for voter, mark in sorted(acknowledged.items()):
        if not _contains(journal, mark):
            problems.append(f"{voter} was told that commit {mark.position} is acknowledged")
    if problems:
        others = [each for each in replica_set.in_sync if each != name]
        better = ", ".join(ahead) or ", ".join(others) or "a node with a backup"
        raise Refused(
            f"acknowledged changes are missing from the copy of the state on {name}, which ends"
            f" with commit {journal.end_mark().position}: {'; '.join(problems)}. Make {better} the"
            " master (gnt-cluster master-failover there); to go on and lose those changes:"
            " gnt-cluster master-failover --accept-loss",
            Code.STATE,
        )


def _contains(journal: FileJournal, mark: ReplicaEnd) -> bool:
    if mark.position < journal.begins_after():
        return True  # forgotten here, after a checkpoint that holds it
    try:
        return mark.position == 0 or to_wire(journal.mark_at(mark.position)) == mark
    except NotInSegments:
        return False
