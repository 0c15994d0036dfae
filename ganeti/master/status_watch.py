# SPDX-License-Identifier: BSD-2-Clause
"""Keeps the node status cache current by reports of the nodes.

A call waits at each online node; its answer is what has changed there. After an error, or a restart
of the node daemon, the first report is of the whole status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config.state import ClusterState, RecordEdit, RecordKind
from ganeti.errors import Failed, NotMaster, Refused
from ganeti.master.node_status_cache import NodeStatusCache, storage_units
from ganeti.model.node import Node
from ganeti.rpc.call import Nodes
from ganeti.rpc.node import WatchNode

WAIT = 20.0
"""Seconds after which a node reports even if nothing has changed. A node that has lost its power is
found to be silent after this time, the time-out of the call, and that of a second one."""

RETRY_INTERVALS = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds after each of several errors until the node is called again; the last one is repeated."""


START_INTERVAL = 0.003
"""Seconds between the first calls of two nodes: a first report lists all guests, and takes some
milliseconds to read."""


class StatusWatch:
    """Calls each online node for its reports, from ``start`` to ``stop``."""

    _log = Logger()

    def __init__(
        self,
        nodes: Nodes,
        live: NodeStatusCache,
        state: Callable[[], ClusterState],
        clock: IReactorTime,
    ) -> None:
        self._nodes = nodes
        self._live = live
        self._state = state
        self._clock = clock
        self._watching: dict[str, Deferred[None]] = {}
        self._running = False

    def start(self) -> None:
        """Begin to watch all nodes that are online."""
        self._running = True
        self._update(self._state().nodes)

    def stop(self) -> None:
        """Watch no node any more."""
        self._running = False
        # A copy, as each removes itself when it ends.
        for watching in tuple(self._watching.values()):
            watching.cancel()

    def config_changed(self, edits: Iterable[RecordEdit]) -> None:
        """Watch the nodes that are new or online again, and not those that are gone or offline."""
        if self._running:
            self._update(edit.key for edit in edits if edit.kind is RecordKind.NODE)

    def _update(self, uuids: Iterable[str]) -> None:
        for number, uuid in enumerate(uuids):
            watching = self._watching.get(uuid)
            if self._find_online(uuid) is None:
                if watching is not None:
                    watching.cancel()
            elif watching is None:
                pause = number * START_INTERVAL
                begun = self._watching[uuid] = Deferred.fromCoroutine(self._watch(uuid, pause))
                begun.addErrback(self._log_failure)
                begun.addCallback(self._on_ended, uuid)

    def _find_online(self, uuid: str) -> Node | None:
        node = self._state().nodes.get(uuid)
        return None if node is None or node.offline else node

    def _log_failure(self, failure: Failure) -> None:
        if not failure.check(CancelledError, NotMaster):
            self._log.failure("internal error in the watch of a node", failure)

    def _on_ended(self, _: None, uuid: str) -> None:
        self._watching.pop(uuid, None)
        self._live.reports_ended(uuid)

    async def _watch(self, uuid: str, pause: float) -> None:
        since, failures = "", 0
        # In a later turn, as the caller may be in the middle of a change, and not all at once.
        await deferLater(self._clock, pause)
        while (node := self._find_online(uuid)) is not None:
            state = self._state()
            call = WatchNode(
                hypervisors=state.cluster.enabled_hypervisors,
                storage=storage_units(state),
                wait=WAIT if since else 0.0,
                since=since,
            )
            try:
                report = await self._nodes.ask(node, call)
            except (Failed, Refused) as e:
                if failures:
                    # One error says little: a certificate has changed, or the daemon restarts.
                    self._live.report_failed(uuid, Failed(str(e)))
                since = ""
                await deferLater(self._clock, RETRY_INTERVALS[failures])
                failures = min(failures + 1, len(RETRY_INTERVALS) - 1)
                continue
            failures = 0
            since = report.position if self._live.report(uuid, report) else ""
