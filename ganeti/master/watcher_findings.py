# SPDX-License-Identifier: BSD-2-Clause
"""Metrics of what ``ganeti-watcher`` has found: by its files, which it writes on the master."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from ganeti.config.state import ClusterState
from ganeti.master.state_paths import StatePaths
from ganeti.metrics.family import MetricFamily, make_gauge
from ganeti.model.instance import AdminState
from ganeti.schema.documents import UNREADABLE
from ganeti.system.interfaces import IFiles
from ganeti.upkeep.repairs import MAX_ATTEMPTS, RepairState

Runs = Callable[[str], bool]
"""Returns whether the guest of the instance with a UUID runs."""


class WatcherFindings:
    """Reads the files of the watcher, which has one for each node group, when it is asked."""

    def __init__(
        self, files: IFiles, paths: StatePaths, paused_until: Callable[[], float | None]
    ) -> None:
        self._files = files
        self._paths = paths
        self._paused_until = paused_until

    def families(self, state: ClusterState, runs: Runs, now: float) -> Iterator[MetricFamily]:
        """Yield the metrics; ``now`` in seconds since the epoch."""
        times, given_up = [], 0
        for uuid in state.groups:
            path = self._paths.watcher_notes(uuid)
            found = self._files.stat(path)
            if found is not None:
                times.append(found.mtime)
                given_up += self._count_given_up(path, state, runs)
        yield make_gauge(
            "ganeti_watcher_run_timestamp_seconds",
            "When the watcher last looked at the instances of all node groups.",
            min(times, default=None),
        )
        until = self._paused_until()
        yield make_gauge(
            "ganeti_watcher_paused",
            "1 if the watcher is paused.",
            until is not None and until > now,
        )
        yield make_gauge(
            "ganeti_watcher_given_up",
            "Instances that do not stay up, and that the watcher no longer starts.",
            given_up,
        )
        authorities = state.authorities
        yield make_gauge(
            "ganeti_authority_replacement_due",
            "1 if the replacement of the cluster's authority is incomplete.",
            authorities is not None and authorities.must_be_replaced,
        )

    def _count_given_up(self, path: str, state: ClusterState, runs: Runs) -> int:
        try:
            notes = msgspec.json.decode(self._files.read(path), type=RepairState)
        except (OSError, *UNREADABLE):
            return 0  # the watcher reports it, and begins a new one
        tried = [n for n, each in notes.instance.items() if each.restart_count >= MAX_ATTEMPTS]
        found = [state.find_instance(name) for name in tried]
        return sum(
            each is not None and each.admin_state is AdminState.UP and not runs(each.uuid)
            for each in found
        )
