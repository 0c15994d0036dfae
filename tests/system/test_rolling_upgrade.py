# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster upgrade`` in both directions, while clients write, and interrupted in each step."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti import __version__
from tests.system.upgrade_load import NEXT, Upgrades


class RollingUpgradeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.upgrades = Upgrades()
        self.addCleanup(lambda: self.assertEqual(self.upgrades.destroy(), []))

    def assert_nothing_lost(self) -> None:
        """No request failed but those that are repeated, no write is missing, all guests run."""
        load = self.upgrades.load
        self.assertEqual((load.failed, load.problems), ({}, []), str(load))
        self.assertGreater(len(load.written), 100)
        self.assertEqual(set(load.ended), {"success"}, str(load))

    def test_nodes_are_upgraded_and_downgraded_while_clients_write(
        self,
    ) -> None:
        with self.upgrades.under_load():
            for release in (NEXT, __version__):
                self.upgrades.upgrade(release)
        self.assert_nothing_lost()
        again = self.upgrades.running.tool("cluster", "upgrade", "--to", __version__, "--resume")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("all nodes that are online have this release", again.stdout)

    def test_an_upgrade_whose_master_is_killed_in_each_step_is_repeated(self) -> None:
        self.upgrades.interrupt(NEXT)
        self.assertEqual(self.upgrades.load.problems, [])
