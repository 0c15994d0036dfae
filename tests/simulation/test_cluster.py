# SPDX-License-Identifier: BSD-2-Clause
"""The whole cluster in one process: many seeds of random work, failing nodes, dying masters.

A message names its seed; ``python -m tests.simulation.seeds MODE --first SEED`` replays it.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.playing import played


class ClusterTests(SynchronousTestCase):
    def test_work_without_trouble_ends_as_it_should(self) -> None:
        self.assertEqual(played("plain", "--seeds", "20"), "")

    def test_nodes_that_fail_leave_no_job_behind(self) -> None:
        self.assertEqual(played("nodes", "--seeds", "60"), "")

    def test_a_disk_that_fails_at_some_writes_loses_nothing(self) -> None:
        self.assertEqual(played("disk", "--seeds", "40"), "")

    def test_a_master_that_dies_at_some_write_loses_nothing(self) -> None:
        self.assertEqual(played("crash", "--seeds", "60"), "")

    def test_a_master_that_dies_at_any_single_write_loses_nothing(self) -> None:
        self.assertEqual(played("crash", "--first", "7", "--every-write"), "")

    def test_a_master_that_dies_while_it_starts_ends_the_scenario(self) -> None:
        # The crash of this seed comes when the election is over, while settings are read.
        self.assertEqual(played("guests-crash", "--first", "70066", "--seeds", "1"), "")
