# SPDX-License-Identifier: BSD-2-Clause
"""The in-sync set: which master candidates have every commit that was acknowledged.

Commits wait for the members of the set and for nobody else. A member that fails or is late is put
out, which takes effect when a majority of the voting nodes has that on disk; it is not waited for
any more then, until it has caught up and was let in again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ganeti.errors import NotMaster
from ganeti.journal.file import FileJournal
from ganeti.journal.interfaces import IReplicas, LogPosition
from ganeti.master.follower import CheckpointSource, Follower, FollowerTimeouts, FrameGroup
from ganeti.master.mastership import Quorum
from ganeti.model.node import Node, Role
from ganeti.rpc.call import Nodes


@implementer(IReplicas)
class Candidates:
    """The copies of the journal with every candidate but the master.

    To be handed to ``FileJournal.replicate_to``, and then told of its ``members``.
    """

    _log = Logger()

    def __init__(
        self,
        journal: FileJournal,
        nodes: Nodes,
        clock: IReactorTime,
        quorum: Quorum,
        *,
        master: Node,
        checkpoint: CheckpointSource,
        patience: FollowerTimeouts | None = None,
    ) -> None:
        """``master`` is this node. The set that ``quorum`` begins with is trusted at first."""
        self._journal = journal
        self._nodes = nodes
        self._clock = clock
        self._quorum = quorum
        self._master = master
        self._checkpoint = checkpoint
        self._patience = patience or FollowerTimeouts()
        self._followers: dict[str, Follower] = {}
        self._first = True
        self._group: FrameGroup | None = None
        self._progress: Deferred[None] | None = None
        self._newer_master: NotMaster | None = None
        self._stopped = False
        quorum.observe(self._wake)

    # --- what is seen of it

    def out_of_sync(self) -> Mapping[str, str]:
        """Return the candidates that are not in the set, by UUID, each with the reason."""
        ours = self._quorum.in_effect.in_sync
        return {
            uuid: "it is being let in" if follower.live else follower.reason
            for uuid, follower in self._followers.items()
            if follower.node.name not in ours
        }

    def lags(self) -> Mapping[str, tuple[bool, int]]:
        """Return for each candidate's copy, by name, whether it is in sync, and what it lacks."""
        ours, end = self._quorum.in_effect.in_sync, self._journal.end()
        return {
            each.node.name: (each.node.name in ours, max(0, end - each.end.position))
            for each in self._followers.values()
        }

    def members(self, nodes: Iterable[Node]) -> None:
        """Follow the candidates among these nodes, which are those of the cluster now."""
        candidates = {
            node.uuid: node for node in nodes if node.role(self._master.uuid) is Role.CANDIDATE
        }
        trusted = self._quorum.required() if self._first else frozenset[str]()
        self._first = False
        for uuid in self._followers.keys() - candidates.keys():
            self._followers.pop(uuid).stop()
        for uuid, node in candidates.items():
            if uuid in self._followers:
                self._followers[uuid].node = node
            else:
                self._followers[uuid] = self._follower(node, live=node.name in trusted)
                self._followers[uuid].start()
        self._changed()

    def stop(self) -> None:
        """Ask the candidates nothing more; the journal can keep nothing after that."""
        self._stopped = True
        for follower in self._followers.values():
            follower.stop()
        self._wake()

    # --- IReplicas

    async def keep(self, after: LogPosition, frames: bytes, end: LogPosition) -> None:
        self._group = group = FrameGroup(after, frames, end)
        for follower in self._followers.values():
            if follower.live:
                follower.offer(group)
        late = self._clock.callLater(self._patience.bound, self._put_out_late, group)
        try:
            while self._lacking(end):
                self._require_master()
                self._progress = Deferred()
                await self._progress
            self._require_master()
        finally:
            if late.active():
                late.cancel()

    async def confirm(self) -> None:
        await self._quorum.confirm()
        self._require_master()

    def cut(self, end: LogPosition) -> None:
        self._group = None
        for follower in self._followers.values():
            if follower.live:
                follower.drop("the master could not keep what it sent, so copies are compared")
        self._changed()

    def _require_master(self) -> None:
        if self._newer_master is not None:
            raise self._newer_master
        if self._stopped:
            raise NotMaster("the master daemon is stopping")

    def _lacking(self, end: LogPosition) -> bool:
        """Whether a copy that counts, or may count for a successor, lacks commits up to ``end``."""
        have = {
            each.node.name
            for each in self._followers.values()
            if each.live and each.end.position >= end.position
        }
        return not self._quorum.required() <= have | {self._master.name}

    def _put_out_late(self, group: FrameGroup) -> None:
        for follower in self._followers.values():
            if follower.lacks(group.end):
                follower.drop(
                    f"it did not keep commit {group.end.position} within "
                    f"{self._patience.bound:g} seconds"
                )
        self._changed()

    # --- the followers, and the set of them

    def _follower(self, node: Node, *, live: bool) -> Follower:
        return Follower(
            node,
            self._journal,
            self._nodes,
            self._clock,
            patience=self._patience,
            checkpoint=self._checkpoint,
            under_way=lambda: self._group,
            changed=self._changed,
            deposed=self._deposed,
            live=live,
        )

    def _deposed(self, error: NotMaster) -> None:
        self._log.critical("this node is not the master any more: {why}", why=str(error))
        self._newer_master = error
        self._wake()

    def _changed(self) -> None:
        if not self._stopped and self._newer_master is None:
            # Those that are live without having caught up are members that are being compared.
            in_sync = {each.node.name for each in self._followers.values() if each.settled}
            self._quorum.propose(in_sync | {self._master.name})
        self._wake()

    def _wake(self) -> None:
        if self._progress is not None:
            progress, self._progress = self._progress, None
            # In a later turn: whoever reports progress is not done with it yet.
            self._clock.callLater(0, partial(progress.callback, None))
