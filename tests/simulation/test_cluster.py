# SPDX-License-Identifier: BSD-2-Clause
"""The whole cluster in one process: many seeds of random work, failing nodes, dying masters.

A message names its seed; ``python -m tests.simulation.seeds MODE --first SEED`` replays it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.scenario import MODES, play, writes_of


class ClusterTests(SynchronousTestCase):
    def tearDown(self) -> None:
        # What dead processes leave to the garbage collection is logged, and so is what disks and
        # nodes do on purpose. What nobody expected shows in the jobs, and is told by ``play``.
        gc.collect()
        self.flushLoggedErrors()

    def play_all(self, mode: str, seeds: Iterable[int]) -> None:
        for seed in seeds:
            self.assertEqual(play(MODES[mode], seed), [], f"seed {seed} of {mode}")

    def test_work_without_trouble_ends_as_it_should(self) -> None:
        self.play_all("plain", range(20))

    def test_nodes_that_fail_leave_no_job_behind(self) -> None:
        self.play_all("nodes", range(60))

    def test_a_disk_that_fails_at_some_writes_loses_nothing(self) -> None:
        self.play_all("disk", range(40))

    def test_a_master_that_dies_at_some_write_loses_nothing(self) -> None:
        self.play_all("crash", range(60))

    def test_a_master_that_dies_at_any_single_write_loses_nothing(self) -> None:
        seed = 7
        for write in range(1, writes_of(seed) + 1):
            found = play(MODES["crash"], seed, write=write)
            self.assertEqual(found, [], f"seed {seed} of crash, write {write}")
