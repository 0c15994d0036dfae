# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.node_services.hypervisors import LazyHypervisors
from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.testing.hypervisor import MemoryHypervisor


class OnDemandTests(SynchronousTestCase):
    def test_a_hypervisor_is_made_once_when_it_is_first_used(self) -> None:
        made: list[IHypervisor] = []

        def make() -> IHypervisor:
            made.append(MemoryHypervisor())
            return made[-1]

        hypervisors = LazyHypervisors({"fake": make, "kvm": make})
        self.assertEqual(
            (list(hypervisors), "kvm" in hypervisors, made), (["fake", "kvm"], True, [])
        )
        self.assertIs(hypervisors["kvm"], hypervisors["kvm"])
        self.assertEqual(len(made), 1)
        self.assertNotIn("xen", hypervisors)
