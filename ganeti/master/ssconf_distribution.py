# SPDX-License-Identifier: BSD-2-Clause
"""Bringing the ``ssconf_*`` files to every node whenever what they hold has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ganeti.config.ssconf import affects_ssconf, ssconf
from ganeti.config.state import ClusterState, EditedState
from ganeti.errors import Failed
from ganeti.model.node import Node
from ganeti.rpc.call import Nodes
from ganeti.rpc.node import WriteSsconf

TOGETHER = 0.2
"""Seconds for which changes are collected before the nodes are told."""

AGAIN = 5.0
"""Seconds until a node that could not be told is tried again."""


class SsconfDistribution:
    """Tells the nodes, in the background; one that does not answer is told when it does."""

    _log = Logger()

    def __init__(
        self, nodes: Nodes, state: Callable[[], ClusterState], clock: IReactorTime, release: str
    ) -> None:
        self._nodes = nodes
        self._state = state
        self._clock = clock
        self._release = release
        self._told: dict[str, dict[str, str]] = {}
        self._timer: IDelayedCall | None = None
        self._telling: Deferred[None] | None = None

    def changed(self, state: ClusterState, edits: tuple[EditedState, ...]) -> None:
        """The configuration has changed; tell the nodes soon if it is anything to them."""
        if affects_ssconf(edits):
            self.soon(TOGETHER)

    def soon(self, pause: float = 0.0) -> None:
        """Tell every node what it does not know yet, after a pause in seconds."""
        if self._timer is None or not self._timer.active():
            self._timer = self._clock.callLater(pause, self._begin)

    def _begin(self) -> None:
        if self._telling is not None:
            self.soon(TOGETHER)
            return
        self._telling = Deferred.fromCoroutine(self._tell())
        self._telling.addErrback(lambda failure: self._log.failure("telling nodes broke", failure))
        self._telling.addBoth(self._told_all)

    def _told_all(self, _: object) -> None:
        self._telling = None

    async def _tell(self) -> None:
        state = self._state()
        values = ssconf(state, release=self._release)
        behind = [
            node
            for node in state.nodes.values()
            if not node.offline and self._told.get(node.uuid) != values
        ]
        answers = await self._nodes.ask_all(behind, WriteSsconf(values=self._news(values, behind)))
        for node in behind:
            if isinstance(trouble := answers[node.uuid], Failed):
                self._log.warn("ssconf is not on {node} yet: {why}", node=node.name, why=trouble)
                self.soon(AGAIN)
            else:
                self._told[node.uuid] = values

    def _news(self, values: dict[str, str], nodes: Sequence[Node]) -> dict[str, str]:
        """What some of the nodes were not told yet: lists of all instances are long."""
        known = [self._told.get(node.uuid, {}).items() for node in nodes]
        return dict(item for item in values.items() if not all(item in told for told in known))

    def stop(self) -> None:
        """Tell nobody any more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._telling is not None:
            self._telling.cancel()
