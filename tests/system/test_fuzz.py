# SPDX-License-Identifier: BSD-2-Clause
"""The remote API answers whatever it is asked as its description says; see ``fuzz``."""

from __future__ import annotations

import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.system.running import TIMEOUT, run


class FuzzTests(SynchronousTestCase):
    def test_answers_are_those_described_and_the_cluster_is_well(self) -> None:
        # In a process of its own, whose sets have the same order in every run.
        done = run([sys.executable, "-P", "-m", "tests.system.fuzz"], patience=10 * TIMEOUT)
        self.assertEqual(done.returncode, 0, f"{done.stdout}{done.stderr}")
