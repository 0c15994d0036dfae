# SPDX-License-Identifier: BSD-2-Clause
"""The in-sync set: which master candidates have every commit that was acknowledged.

Commits wait for the members of the set and for nobody else. A member that fails or is late is put
out, by a commit of its own, and nobody waits for it until it has caught up and was let in again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ganeti.errors import NotKept, NotMaster
from ganeti.journal.file import FileJournal
from ganeti.journal.in_sync import record_of
from ganeti.journal.interfaces import Commit, IReplicas, Mark, Position
from ganeti.master.follower import CheckpointSource, Follower, Group, Patience
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
        *,
        now: Callable[[], float],
        master: str,
        checkpoint: CheckpointSource,
        before: frozenset[str] = frozenset(),
        patience: Patience | None = None,
    ) -> None:
        """``master`` is the UUID of this node; ``before`` is the set that the journal records."""
        self._journal = journal
        self._nodes = nodes
        self._clock = clock
        self._now = now
        self._master = master
        self._checkpoint = checkpoint
        self._recorded = before
        self._trusted = before
        self._patience = patience or Patience()
        self._followers: dict[str, Follower] = {}
        self._group: Group | None = None
        self._progress: Deferred[None] | None = None
        self._proposed: dict[Position, frozenset[str]] = {}
        self._again: IDelayedCall | None = None
        self._newer_master: NotMaster | None = None
        self._at_stop: frozenset[str] | None = None

    # --- what is seen of it

    def in_sync(self) -> frozenset[str]:
        """The UUIDs of the candidates that have every acknowledged commit.

        A checkpoint keeps it too, since the journal forgets the record with its segment.
        """
        return self._settled() & self._recorded if self._at_stop is None else self._at_stop

    def out_of_sync(self) -> Mapping[str, str]:
        """The other candidates by UUID, each with the reason."""
        ours = self.in_sync()
        return {
            uuid: "it is being let in" if follower.live else follower.reason
            for uuid, follower in self._followers.items()
            if uuid not in ours
        }

    def members(self, nodes: Iterable[Node]) -> None:
        """These are the nodes of the cluster now; those that are candidates get copies."""
        there = {node.uuid: node for node in nodes if node.role(self._master) is Role.CANDIDATE}
        for uuid in self._followers.keys() - there.keys():
            self._followers.pop(uuid).stop()
        for uuid, node in there.items():
            if uuid in self._followers:
                self._followers[uuid].node = node
            else:
                self._followers[uuid] = self._follower(node, live=uuid in self._trusted)
                self._followers[uuid].start()
        self._trusted = frozenset()
        self._changed()

    def stop(self) -> None:
        """Ask the candidates nothing more; the journal can keep nothing after that.

        What is ``in_sync`` stays as it was.
        """
        self._at_stop = self.in_sync()
        for follower in self._followers.values():
            follower.stop()
        if self._again is not None and self._again.active():
            self._again.cancel()
        self._wake()

    # --- IReplicas

    async def keep(self, after: Mark, frames: bytes, end: Mark) -> bool:
        self._group = group = Group(after, frames, end)
        asked = [follower for follower in self._followers.values() if follower.live]
        for follower in asked:
            follower.offer(group)
        late = self._clock.callLater(self._patience.bound, self._put_out_late, group)
        try:
            while self._newer_master is None and any(each.lacks(end) for each in asked):
                self._progress = Deferred()
                await self._progress
        finally:
            if late.active():
                late.cancel()
        if self._newer_master is not None:
            raise self._newer_master
        if self._at_stop is not None:
            raise NotMaster("the master daemon is stopping")
        self._propose()
        return self._set_at(end.position) <= self._settled()

    def cut(self, end: Mark) -> None:
        self._group = None
        self._proposed = {at: who for at, who in self._proposed.items() if at <= end.position}
        for follower in self._followers.values():
            if follower.live:
                follower.drop("the master could not keep what it sent, so copies are compared")
        self._changed()

    def _put_out_late(self, group: Group) -> None:
        for follower in self._followers.values():
            if follower.lacks(group.end):
                follower.drop(
                    f"it did not keep commit {group.end.position} within "
                    f"{self._patience.bound:g} seconds"
                )
        self._changed()

    # --- the followers, and the record of them

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

    def _settled(self) -> frozenset[str]:
        return frozenset(uuid for uuid, each in self._followers.items() if each.settled)

    def _deposed(self, error: NotMaster) -> None:
        self._log.critical("this node is not the master any more: {why}", why=str(error))
        self._newer_master = error
        self._wake()

    def _changed(self) -> None:
        self._propose()
        self._wake()

    def _wake(self) -> None:
        if self._progress is not None:
            progress, self._progress = self._progress, None
            # In a later turn: whoever reports progress is not done with it yet.
            self._clock.callLater(0, partial(progress.callback, None))

    def _set_at(self, position: Position) -> frozenset[str]:
        """The set that is recorded by the commits up to a position."""
        return self._proposed[max(at)] if (at := self._before(position)) else self._recorded

    def _before(self, position: Position) -> list[Position]:
        return [at for at in self._proposed if at <= position]

    def _propose(self) -> None:
        """Append a record of the set as it is, unless that has been done."""
        now = self._settled()
        before = self._proposed[max(self._proposed)] if self._proposed else self._recorded
        if now == before or self._at_stop is not None or self._newer_master is not None:
            return
        commit = self._commit(before, now)
        try:
            position, kept = self._journal.take(commit)
        except NotKept:
            # Once it takes something again; until then nothing is acknowledged anyway.
            if self._again is None or not self._again.active():
                self._again = self._clock.callLater(self._patience.first, self._propose)
            return
        self._log.info("{why}", why=commit.why)
        self._proposed[position] = now
        kept.addCallback(self._accepted, position)
        kept.addErrback(lambda failure: failure.trap(NotKept) and None)

    def _accepted(self, _: None, position: Position) -> None:
        self._recorded = self._proposed[position]
        for at in self._before(position):
            del self._proposed[at]

    def _commit(self, before: frozenset[str], now: frozenset[str]) -> Commit:
        there = sorted(self._followers.items())
        why = [
            f"{each.node.name} is in sync"
            if uuid in now
            else f"{each.node.name} is out of sync: {each.reason}"
            for uuid, each in there
            if uuid in now ^ before
        ]
        why += [f"{uuid} is no candidate any more" for uuid in before - dict(there).keys()]
        return Commit(
            at=self._now(),
            who="master",
            why="; ".join(why),
            edits=(record_of(now),),
        )
