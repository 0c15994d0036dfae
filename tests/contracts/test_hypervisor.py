# SPDX-License-Identifier: BSD-2-Clause
"""Hypervisors in memory, as notes, and KVM with a scripted QEMU."""

from __future__ import annotations

from ganeti.errors import Failed
from ganeti.hypervisor.fake import FakeHypervisor
from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.testing.processes import MemoryNotes
from tests.contracts import hypervisor as contract


class MemoryHypervisorTests(contract.HypervisorContract):
    def setUp(self) -> None:
        super().setUp()
        self._nodes: dict[str, MemoryHypervisor] = {}

    def hypervisor(self, node: str = "node1") -> MemoryHypervisor:
        return self._nodes.setdefault(node, MemoryHypervisor())

    def test_a_stubborn_guest_ignores_a_polite_stop(self) -> None:
        hypervisor = MemoryHypervisor(stubborn=["web1"])
        self.done(hypervisor.start(self.a_guest(), []))
        self.done(hypervisor.stop("web1", hard=False))
        self.assertEqual(self.names(hypervisor), [["web1"]])
        self.done(hypervisor.stop("web1", hard=True))
        self.assertEqual(self.names(hypervisor), [[]])

    def test_a_step_of_a_migration_can_be_broken(self) -> None:
        hypervisor = MemoryHypervisor(breaks_at="accept")
        self.fails(Failed, hypervisor.accept(self.a_guest(), [], "192.0.2.2"))


class FakeHypervisorTests(contract.HypervisorContract):
    def setUp(self) -> None:
        super().setUp()
        self._nodes: dict[str, MemoryNotes] = {}

    def hypervisor(self, node: str = "node1") -> IHypervisor:
        return FakeHypervisor(self._nodes.setdefault(node, MemoryNotes()))
