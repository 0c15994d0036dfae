# SPDX-License-Identifier: BSD-2-Clause
"""Distribution of the member list: nodes have the current one before any other call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config.state import ClusterState, RecordEdit, RecordKind
from ganeti.errors import Failed, NotMaster
from ganeti.model.node import Node
from ganeti.operations.member_list import make_member_list
from ganeti.rpc.call import Call, Nodes
from ganeti.rpc.members import MemberRecords, UpdateMembers

R = TypeVar("R")

RETRY = 30.0
"""Seconds before a failed update is retried, unless a call to the node comes first."""

_AFFECTED_BY = frozenset(
    {RecordKind.NODE, RecordKind.CERTIFICATE, RecordKind.AUTHORITIES, RecordKind.CLUSTER}
)


class MemberDistribution:
    """``Nodes`` that sends the newest member list to a node before any other call.

    A node that was unreachable when a certificate was revoked, or when it lost a role, thus learns
    of it before it is used again. Nothing has to be remembered across restarts: a new master
    assumes that no node is up to date.
    """

    _log = Logger()

    def __init__(
        self,
        nodes: Nodes,
        state: Callable[[], ClusterState],
        clock: IReactorTime,
        agreed: Callable[[], Awaitable[None]],
    ) -> None:
        """``agreed`` returns when a majority of the nodes has agreed on the voters."""
        self._nodes = nodes
        self._state = state
        self._clock = clock
        self._agreed = agreed
        self._newest = make_member_list(state())
        self._confirmed: dict[str, MemberRecords] = {}
        self._timer: IDelayedCall | None = None
        self._working: Deferred[None] | None = None

    # --- Nodes

    async def ask(self, node: Node, call: Call[R]) -> R:
        """See ``Nodes``.

        :raises Failed: also if the member list could not be updated on the node.
        """
        if self._needs_update(node):
            await self._update_node(node)
        return await self._nodes.ask(node, call)

    async def ask_all(self, nodes: Sequence[Node], call: Call[R]) -> Mapping[str, R | Failed]:
        """See ``Nodes``."""
        trouble = await self._update_nodes([node for node in nodes if self._needs_update(node)])
        answers = await self._nodes.ask_all([n for n in nodes if n.uuid not in trouble], call)
        return {**answers, **trouble}

    # --- the member list

    def config_changed(self, state: ClusterState, edits: tuple[RecordEdit, ...]) -> None:
        """Update the member list after a configuration change."""
        if any(edit.kind in _AFFECTED_BY for edit in edits):
            members = make_member_list(state)
            if members is None or not self._newest or not members.same_content(self._newest):
                self._newest = members
                self.schedule_update()

    async def distribute(self) -> Mapping[str, Failed]:
        """Update the list on every online node, and wait until a majority agrees on the voters.

        Return the errors by node name; the other nodes have the new list.
        """
        nodes = [node for node in self._state().nodes.values() if self._needs_update(node)]
        trouble = await self._update_nodes(nodes)
        if trouble:
            self.schedule_update(RETRY)
        await self._agreed()
        return {node.name: trouble[node.uuid] for node in nodes if node.uuid in trouble}

    def schedule_update(self, pause: float = 0.0) -> None:
        """Update outdated nodes in the background, after ``pause`` seconds."""
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= self._clock.seconds() + pause:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(pause, self._start_distribution)

    def stop(self) -> None:
        """Cancel running and scheduled updates."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._working is not None:
            self._working.cancel()

    def _start_distribution(self) -> None:
        if self._working is not None:
            self.schedule_update(1.0)
            return
        self._working = Deferred.fromCoroutine(self._distribute_in_background())
        self._working.addErrback(self._log_failure)
        self._working.addBoth(self._on_ended)

    async def _distribute_in_background(self) -> None:
        for name, trouble in (await self.distribute()).items():
            self._log.warn(
                "the member list on node {node} could not be updated: {why}",
                node=name,
                why=str(trouble),
            )

    def _log_failure(self, failure: Failure) -> None:
        if not failure.check(CancelledError, NotMaster):
            self._log.failure("internal error in the distribution of the member list", failure)

    def _on_ended(self, _: None) -> None:
        self._working = None

    def _needs_update(self, node: Node) -> bool:
        """Return whether a node needs the list: members only, as new nodes get it on joining."""
        return (
            self._newest is not None
            and not node.offline
            # By identity, as a list is only replaced by one with other content.
            and self._confirmed.get(node.uuid) is not self._newest
            and node.uuid in self._state().nodes
        )

    async def _update_node(self, node: Node) -> None:
        if (members := self._newest) is not None:
            await self._nodes.ask(node, UpdateMembers(members=members))
            # What was sent, as there may be a newer list by now.
            self._confirmed[node.uuid] = members

    async def _update_nodes(self, nodes: Sequence[Node]) -> Mapping[str, Failed]:
        """Return the errors by UUID of the node."""
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
