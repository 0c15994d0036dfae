# SPDX-License-Identifier: BSD-2-Clause
"""Seeing to it that nodes know the members before they are asked anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config.state import ClusterState, EditedState, RecordKind
from ganeti.errors import Failed, NotMaster
from ganeti.model.node import Node
from ganeti.operations.member_list import members_of
from ganeti.rpc.call import Call, Nodes
from ganeti.rpc.members import MemberRecords, UpdateMembers

R = TypeVar("R")

RETRY = 30.0
"""Seconds until a node that did not take the list is tried again, if nothing asks it earlier."""

_AFFECTED_BY = frozenset(
    {RecordKind.NODE, RecordKind.CERTIFICATE, RecordKind.AUTHORITIES, RecordKind.CLUSTER}
)


class MemberDistribution:
    """``Nodes`` to whom the newest list of members comes before any other call.

    So a node that was away when a certificate was revoked, or when it lost a role, hears of it
    before it is used again, without anything having to be remembered across restarts: a master
    that has just started takes no node for informed.
    """

    _log = Logger()

    def __init__(
        self,
        nodes: Nodes,
        state: Callable[[], ClusterState],
        clock: IReactorTime,
        agreed: Callable[[], Awaitable[None]],
    ) -> None:
        """``agreed`` returns when a majority of the nodes has agreed on who votes."""
        self._nodes = nodes
        self._state = state
        self._clock = clock
        self._agreed = agreed
        self._newest = members_of(state())
        self._confirmed: dict[str, MemberRecords] = {}
        self._timer: IDelayedCall | None = None
        self._working: Deferred[None] | None = None

    # --- Nodes

    async def ask(self, node: Node, call: Call[R]) -> R:
        """See ``Nodes``.

        :raises Failed: also if the node could not be informed of the members before.
        """
        if self._lacks(node):
            await self._inform(node)
        return await self._nodes.ask(node, call)

    async def ask_all(self, nodes: Sequence[Node], call: Call[R]) -> Mapping[str, R | Failed]:
        """See ``Nodes``."""
        trouble = await self._inform_all([node for node in nodes if self._lacks(node)])
        answers = await self._nodes.ask_all([n for n in nodes if n.uuid not in trouble], call)
        return {**answers, **trouble}

    # --- the list

    def changed(self, state: ClusterState, edits: tuple[EditedState, ...]) -> None:
        """The configuration has changed; the list may have, too."""
        if any(edit.kind in _AFFECTED_BY for edit in edits):
            members = members_of(state)
            if members is None or not self._newest or not members.says_the_same(self._newest):
                self._newest = members
                self.soon()

    async def distribute(self) -> Mapping[str, Failed]:
        """Bring the list to every node that is not offline, and have a majority agree on who votes.

        The answer is what went wrong with which node, by name; the others use it.
        """
        nodes = [node for node in self._state().nodes.values() if self._lacks(node)]
        trouble = await self._inform_all(nodes)
        if trouble:
            self.soon(RETRY)
        await self._agreed()
        return {node.name: trouble[node.uuid] for node in nodes if node.uuid in trouble}

    def soon(self, pause: float = 0.0) -> None:
        """Bring the list to the nodes that lack it, in the background, after a pause in seconds."""
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= self._clock.seconds() + pause:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(pause, self._begin)

    def stop(self) -> None:
        """Inform no node any more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._working is not None:
            self._working.cancel()

    def _begin(self) -> None:
        if self._working is not None:
            self.soon(1.0)
            return
        self._working = Deferred.fromCoroutine(self._work())
        self._working.addErrback(self._broke)
        self._working.addBoth(self._done)

    async def _work(self) -> None:
        for name, trouble in (await self.distribute()).items():
            self._log.warn(
                "node {node} does not know the members yet: {why}", node=name, why=str(trouble)
            )

    def _broke(self, failure: Failure) -> None:
        if not failure.check(CancelledError, NotMaster):
            self._log.failure("informing nodes of the members broke", failure)

    def _done(self, _: None) -> None:
        self._working = None

    def _lacks(self, node: Node) -> bool:
        """Whether a node is to be informed: members only, as a new one knows what it needs."""
        return (
            self._newest is not None
            and not node.offline
            and self._confirmed.get(node.uuid) is not self._newest
            and node.uuid in self._state().nodes
        )

    async def _inform(self, node: Node) -> None:
        if (members := self._newest) is not None:
            await self._nodes.ask(node, UpdateMembers(members=members))
            self._confirmed[node.uuid] = members

    async def _inform_all(self, nodes: Sequence[Node]) -> Mapping[str, Failed]:
        """Return what went wrong, by the UUID of the node."""
        members = self._newest
        if not nodes or members is None:
            return {}
        answers = await self._nodes.ask_all(nodes, UpdateMembers(members=members))
        trouble = {}
        for uuid, answer in answers.items():
            if isinstance(answer, Failed):
                trouble[uuid] = answer
            else:
                self._confirmed[uuid] = members
        return trouble
