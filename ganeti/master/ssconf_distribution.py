# SPDX-License-Identifier: BSD-2-Clause
"""Distribution of the ``ssconf_*`` files to all nodes when their values change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ganeti.config.ssconf import affects_ssconf, ssconf
from ganeti.config.state import ClusterState, RecordEdit
from ganeti.errors import Failed
from ganeti.model.node import Node
from ganeti.rpc.call import Nodes
from ganeti.rpc.node import WriteSsconf

COLLECT_DELAY = 0.2
"""Seconds for which changes are collected before nodes are updated."""

AGAIN = 5.0
"""Seconds before a failed update is retried."""


class SsconfDistribution:
    """Updates nodes in the background; retries nodes that do not answer."""

    _log = Logger()

    def __init__(
        self, nodes: Nodes, state: Callable[[], ClusterState], clock: IReactorTime, release: str
    ) -> None:
        self._nodes = nodes
        self._state = state
        self._clock = clock
        self._release = release
        self._distributed: dict[str, dict[str, str]] = {}
        self._timer: IDelayedCall | None = None
        self._distribution: Deferred[None] | None = None

    def changed(self, state: ClusterState, edits: tuple[RecordEdit, ...]) -> None:
        """Schedule an update after a configuration change that affects ssconf."""
        if affects_ssconf(edits):
            self.soon(COLLECT_DELAY)

    def soon(self, pause: float = 0.0) -> None:
        """Update outdated nodes after ``pause`` seconds."""
        if self._timer is None or not self._timer.active():
            self._timer = self._clock.callLater(pause, self._start_distribution)

    def _start_distribution(self) -> None:
        if self._distribution is not None:
            self.soon(COLLECT_DELAY)
            return
        self._distribution = Deferred.fromCoroutine(self._distribute())
        self._distribution.addErrback(
            lambda failure: self._log.failure("internal error in ssconf distribution", failure)
        )
        self._distribution.addBoth(self._on_ended)

    def _on_ended(self, _: object) -> None:
        self._distribution = None

    async def _distribute(self) -> None:
        state = self._state()
        values = ssconf(state, release=self._release)
        behind = [
            node
            for node in state.nodes.values()
            if not node.offline and self._distributed.get(node.uuid) != values
        ]
        answers = await self._nodes.ask_all(
            behind, WriteSsconf(values=self._find_new_values(values, behind))
        )
        for node in behind:
            if isinstance(trouble := answers[node.uuid], Failed):
                self._log.warn(
                    "ssconf on {node} could not be updated, will retry: {why}",
                    node=node.name,
                    why=trouble,
                )
                self.soon(AGAIN)
            else:
                self._distributed[node.uuid] = values

    def _find_new_values(self, values: dict[str, str], nodes: Sequence[Node]) -> dict[str, str]:
        """Return the values that some of the nodes lack; lists of all instances are long."""
        known = [self._distributed.get(node.uuid, {}).items() for node in nodes]
        return dict(
            item for item in values.items() if not all(item in distributed for distributed in known)
        )

    def stop(self) -> None:
        """Cancel running and scheduled updates."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._distribution is not None:
            self._distribution.cancel()
