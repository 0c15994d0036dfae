# SPDX-License-Identifier: BSD-2-Clause
"""Distribution of the ``ssconf_*`` files to all nodes when their values change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config.ssconf import (
    INSTANCE_LIST,
    InstanceNames,
    affects_only_lists,
    affects_ssconf,
    ssconf,
)
from ganeti.config.state import ClusterState, RecordEdit
from ganeti.errors import Failed, NotMaster
from ganeti.model.node import Node
from ganeti.rpc.call import Nodes
from ganeti.rpc.node import UpdateSsconfList, WriteSsconf

COLLECT_DELAY = 0.2
"""Seconds for which changes are collected before nodes are updated."""

LISTS_DELAY = 5.0
"""The same for changes of the list of instances and of the cluster's tags only.

Every node is called for it. Longer, so that the cost of creating many instances, one after the
other, is not that of a call to every node each.
"""

MAX_CHANGED_SHARE = 0.25
"""The largest share of a list that is sent as changes, and not as a whole."""

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
        self._names = InstanceNames()
        self._timer: IDelayedCall | None = None
        self._distribution: Deferred[None] | None = None

    def config_changed(self, state: ClusterState, edits: tuple[RecordEdit, ...]) -> None:
        """Schedule an update after a configuration change that affects ssconf."""
        self._names.config_changed(state, edits)
        if affects_ssconf(edits):
            self.schedule_update(LISTS_DELAY if affects_only_lists(edits) else COLLECT_DELAY)

    def schedule_update(self, pause: float = 0.0) -> None:
        """Update outdated nodes after ``pause`` seconds."""
        if self._timer is None or not self._timer.active():
            self._timer = self._clock.callLater(pause, self._start_distribution)
        elif self._timer.getTime() > self._clock.seconds() + pause:
            self._timer.reset(pause)

    def _start_distribution(self) -> None:
        if self._distribution is not None:
            self.schedule_update(COLLECT_DELAY)
            return
        self._distribution = Deferred.fromCoroutine(self._distribute())
        self._distribution.addErrback(self._log_failure)
        self._distribution.addBoth(self._on_ended)

    def _log_failure(self, failure: Failure) -> None:
        if not failure.check(CancelledError, NotMaster):
            self._log.failure("internal error in ssconf distribution", failure)

    def _on_ended(self, _: object) -> None:
        self._distribution = None

    async def _distribute(self) -> None:
        for _ in self._names.prepare(self._state()):
            await deferLater(self._clock, 0)
        # After the pauses, as the state may have changed.
        state = self._state()
        values = ssconf(state, release=self._release, instance_list=self._names.text(state))
        behind = [
            node
            for node in state.nodes.values()
            if not node.offline and self._distributed.get(node.uuid) != values
        ]
        call = self._find_list_changes(values, behind) or WriteSsconf(
            values=self._find_new_values(values, behind)
        )
        answers = await self._nodes.ask_all(behind, call)
        for node in behind:
            if isinstance(trouble := answers[node.uuid], Failed):
                self._log.warn(
                    "ssconf on {node} could not be updated, will retry: {why}",
                    node=node.name,
                    why=trouble,
                )
                # What it has is unknown now: the next update sends all values.
                self._distributed.pop(node.uuid, None)
                self.schedule_update(AGAIN)
            else:
                self._distributed[node.uuid] = values

    def _find_new_values(self, values: dict[str, str], nodes: Sequence[Node]) -> dict[str, str]:
        """Return the values that some of the nodes lack; lists of all instances are long."""
        known = [self._distributed.get(node.uuid, {}).items() for node in nodes]
        return dict(
            item for item in values.items() if not all(item in distributed for distributed in known)
        )

    def _find_list_changes(
        self, values: dict[str, str], nodes: Sequence[Node]
    ) -> UpdateSsconfList | None:
        """Return the change of the list of instances, if all nodes have the same older one.

        None if other values have changed as well, or most of the list.
        """
        before = self._distributed.get(nodes[0].uuid) if nodes else None
        # Compared by identity, as the lists are long.
        if before is None or any(self._distributed.get(n.uuid) is not before for n in nodes):
            return None
        if any(before.get(key) != text for key, text in values.items() if key != INSTANCE_LIST):
            return None
        old, new = (set(each[INSTANCE_LIST].splitlines()) for each in (before, values))
        added, removed = new - old, old - new
        if len(added) + len(removed) > MAX_CHANGED_SHARE * len(new):
            return None
        text = values[INSTANCE_LIST]
        return UpdateSsconfList(
            key=INSTANCE_LIST,
            added=tuple(sorted(added)),
            removed=tuple(sorted(removed)),
            digest=sha256(f"{text}\n".encode() if text else b"").hexdigest(),
        )

    def stop(self) -> None:
        """Cancel running and scheduled updates."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._distribution is not None:
            self._distribution.cancel()
