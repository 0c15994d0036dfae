# SPDX-License-Identifier: BSD-2-Clause
"""Everything that runs on a node is killed, by all of its hypervisors."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.node.guest_kill import kill_guests
from ganeti.testing.builders import a_guest
from ganeti.testing.hypervisor import MemoryHypervisor


class KillGuestsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.hypervisors = {"kvm": MemoryHypervisor(), "fake": MemoryHypervisor()}
        for name, hypervisor in self.hypervisors.items():
            self.successResultOf(hypervisor.start(a_guest(name), ()))

    def kill(self) -> bool:
        found: bool = self.successResultOf(kill_guests(self.hypervisors))
        return found

    def test_guests_of_all_hypervisors_are_killed(self) -> None:
        self.assertTrue(self.kill())
        self.assertEqual([each.present() for each in self.hypervisors.values()], [frozenset()] * 2)
        self.assertFalse(self.kill())

    def test_a_hypervisor_that_cannot_kill_keeps_no_other_from_it(self) -> None:
        self.hypervisors["kvm"].breaks_at = "kill"
        self.assertTrue(self.kill())
        self.assertEqual(self.hypervisors["fake"].present(), frozenset())
        self.assertTrue(self.kill())
