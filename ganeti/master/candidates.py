# SPDX-License-Identifier: BSD-2-Clause
"""The in-sync set: the master candidates that have every acknowledged commit.

Commits wait for the members of the set only. A member that fails or is late is removed from the
set, which takes effect when a majority of the voting nodes has the smaller set on disk. Commits no
longer wait for it until it has caught up and was added again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ganeti.errors import NotMaster
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import IReplicas, LogPosition
from ganeti.master.follower import CheckpointSource, Follower, FollowerTimeouts, FrameGroup
from ganeti.master.mastership import STOPPING, MasterTerm
from ganeti.metrics.family import MetricFamily
from ganeti.model.node import Node, NodeRole
from ganeti.rpc.call import Nodes


@implementer(IReplicas)
class Candidates:
    """Replication of the journal to every candidate except the master.

    Pass it to ``FileJournal.replicate_to``, then call ``members`` with the nodes of the cluster.
    """

    _log = Logger()

    def __init__(
        self,
        journal: FileJournal,
        nodes: Nodes,
        clock: IReactorTime,
        quorum: MasterTerm,
        *,
        master: Node,
        checkpoint: CheckpointSource,
        patience: FollowerTimeouts | None = None,
    ) -> None:
        """``master`` is this node.

        The replica set that ``quorum`` starts with is initially trusted.
        """
        self._journal = journal
        self._nodes = nodes
        self._clock = clock
        self._quorum = quorum
        self._master = master
        self._checkpoint = checkpoint
        self._timeouts = patience or FollowerTimeouts()
        self._followers: dict[str, Follower] = {}
        self._first = True
        self._group: FrameGroup | None = None
        self._progress: Deferred[None] | None = None
        self._newer_master: NotMaster | None = None
        self._stopped = False
        self.waits_for_all = False
        """Whether commits also wait for candidates that are being added.

        Otherwise these might never catch up with commits that do not wait for any other disk.
        """
        quorum.observe(self._wake)

    # --- state

    def out_of_sync(self) -> Mapping[str, str]:
        """Return the candidates outside the in-sync set, by UUID, each with the reason."""
        ours = self._quorum.in_effect.in_sync
        return {
            uuid: "it is being added" if follower.live else follower.reason
            for uuid, follower in self._followers.items()
            if follower.node.name not in ours
        }

    def lags(self) -> Mapping[str, tuple[bool, int]]:
        """Return by name whether each candidate is in sync, and how many commits it lacks."""
        ours, end = self._quorum.in_effect.in_sync, self._journal.last_commit()
        return {
            each.node.name: (each.node.name in ours, max(0, end - each.end.position))
            for each in self._followers.values()
        }

    async def problems(self) -> Sequence[str]:
        """Return nothing: ``out_of_sync`` has the problems of each candidate."""
        return ()

    def families(self) -> Iterable[MetricFamily]:
        """Return nothing: the metrics of the copies are read from ``lags``."""
        return ()

    def members(self, nodes: Iterable[Node]) -> None:
        """Replicate to the candidates among ``nodes``, all nodes of the cluster."""
        candidates = {
            node.uuid: node for node in nodes if node.role(self._master.uuid) is NodeRole.CANDIDATE
        }
        trusted = self._quorum.required() if self._first else frozenset[str]()
        self._first = False
        for uuid in self._followers.keys() - candidates.keys():
            self._followers.pop(uuid).stop()
        for uuid, node in candidates.items():
            if uuid in self._followers:
                self._followers[uuid].node = node
            else:
                self._followers[uuid] = self._make_follower(node, live=node.name in trusted)
                self._followers[uuid].start()
        self._on_progress()

    def stop(self) -> None:
        """Stop replication; after that, the journal cannot store commits."""
        self._stopped = True
        for follower in self._followers.values():
            follower.stop()
        self._wake()

    # --- IReplicas

    async def store_frames(self, after: LogPosition, frames: bytes, end: LogPosition) -> None:
        self._group = group = FrameGroup(after, frames, end)
        for follower in self._followers.values():
            if follower.live:
                follower.enqueue(group)
        late = self._clock.callLater(self._timeouts.bound, self._drop_late_followers, group)
        try:
            # A follower that was dropped is required until a majority has stored the smaller set.
            while self._has_missing_replicas(end):
                self._check_not_superseded()
                self._progress = Deferred()
                await self._progress
            self._check_not_superseded()
        finally:
            if late.active():
                late.cancel()

    async def confirm_lease(self) -> None:
        await self._quorum.confirm_lease()
        self._check_not_superseded()

    def discard_after(self, end: LogPosition) -> None:
        self._group = None
        for follower in self._followers.values():
            if follower.live:
                follower.drop("the master could not store frames it had sent; comparing copies")
        self._on_progress()

    async def probe(self) -> None:
        """Return: copies that fail are removed from the in-sync set."""

    def _check_not_superseded(self) -> None:
        if self._newer_master is not None:
            raise self._newer_master
        if self._stopped:
            raise NotMaster(STOPPING)

    def _has_missing_replicas(self, end: LogPosition) -> bool:
        """Return whether a copy that the set in effect or a proposed set needs lacks commits."""
        have = {
            each.node.name
            for each in self._followers.values()
            if each.live and each.end.position >= end.position
        }
        needed = self._quorum.required()
        if self.waits_for_all:
            needed |= {each.node.name for each in self._followers.values() if each.live}
        return not needed <= have | {self._master.name}

    def _drop_late_followers(self, group: FrameGroup) -> None:
        for follower in self._followers.values():
            if follower.lacks(group.end):
                follower.drop(
                    f"it did not store commit {group.end.position} within "
                    f"{self._timeouts.bound:g} seconds"
                )
        self._on_progress()

    # --- followers and the in-sync set

    def _make_follower(self, node: Node, *, live: bool) -> Follower:
        return Follower(
            node,
            self._journal,
            self._nodes,
            self._clock,
            patience=self._timeouts,
            checkpoint=self._checkpoint,
            under_way=lambda: self._group,
            changed=self._on_progress,
            deposed=self._on_superseded,
            live=live,
        )

    def _on_superseded(self, error: NotMaster) -> None:
        self._log.critical("this node is no longer the master: {why}", why=str(error))
        self._newer_master = error
        self._wake()

    def _on_progress(self) -> None:
        if not self._stopped and self._newer_master is None:
            # A live follower that has not caught up was a member before, and is being compared.
            in_sync = {each.node.name for each in self._followers.values() if each.settled}
            self._quorum.propose_in_sync(in_sync | {self._master.name})
        self._wake()

    def _wake(self) -> None:
        if self._progress is not None:
            progress, self._progress = self._progress, None
            # In a later turn: the caller has not finished the change that it reports.
            self._clock.callLater(0, partial(progress.callback, None))
