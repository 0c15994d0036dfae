# SPDX-License-Identifier: BSD-2-Clause
"""What the watcher has found is a metric, as long as it is true."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.master.state_paths import StatePaths
from ganeti.master.watcher_findings import WatcherFindings
from ganeti.model.instance import AdminState
from ganeti.testing.builders import a_cluster, a_node, an_instance
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.upkeep.repairs import MAX_ATTEMPTS, RepairAttempts, RepairState
from tests.metrics.test_family import read

NOW = 1_700_000_000.0


class WatcherFindingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.disk.add_folder("/data", 0o755)
        self.paths = StatePaths("/data")
        self.pause: float | None = None
        self.running: set[str] = set()
        self.state = a_cluster(
            nodes=[a_node("node1")],
            instances=[
                an_instance(name, admin_state=AdminState.UP) for name in ("web1", "web2", "web3")
            ],
        )
        self.findings = WatcherFindings(MemoryFiles(self.disk), self.paths, lambda: self.pause)

    def notes(self, content: bytes) -> None:
        (group,) = self.state.groups
        self.disk.put(self.paths.watcher_notes(group), content, 0o644, NOW - 60)

    def attempts(self, **counts: int) -> None:
        tried = {name: RepairAttempts(restart_count=count) for name, count in counts.items()}
        self.notes(msgspec.json.encode(RepairState(instance=tried)))

    def found(self, name: str) -> float | None:
        def runs(uuid: str) -> bool:
            return self.state.instances[uuid].name in self.running

        return read(*self.findings.families(self.state, runs, NOW)).get((name, ()))

    def test_the_last_run_is_told_unless_there_was_none(self) -> None:
        self.assertIsNone(self.found("ganeti_watcher_run_timestamp_seconds"))
        self.attempts()
        self.assertEqual(self.found("ganeti_watcher_run_timestamp_seconds"), NOW - 60)

    def test_instances_are_counted_that_are_no_longer_started(self) -> None:
        self.attempts(
            web1=MAX_ATTEMPTS, web2=MAX_ATTEMPTS, web3=MAX_ATTEMPTS - 1, gone=MAX_ATTEMPTS
        )
        self.assertEqual(self.found("ganeti_watcher_given_up"), 2)
        self.running.add("web1")
        self.assertEqual(self.found("ganeti_watcher_given_up"), 1)

    def test_a_damaged_file_counts_nothing(self) -> None:
        self.notes(b"{")
        self.assertEqual(self.found("ganeti_watcher_given_up"), 0)

    def test_a_pause_is_told_until_it_ends(self) -> None:
        for until, paused in ((None, 0), (NOW + 1, 1), (NOW - 1, 0)):
            self.pause = until
            self.assertEqual(self.found("ganeti_watcher_paused"), paused, until)

    def test_an_authority_that_must_be_replaced_is_told(self) -> None:
        self.assertEqual(self.found("ganeti_authority_replacement_due"), 0)
