# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.node_services.hypervisors import LazyHypervisors, read_user_pool
from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.paths import Paths
from ganeti.testing.disk import MemoryDisk, MemoryFiles
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


class UserPoolTests(SynchronousTestCase):
    def test_a_node_knows_the_user_ids_that_the_master_has_sent(self) -> None:
        disk, paths = MemoryDisk(), Paths(root="/node1")
        files = MemoryFiles(disk)
        self.assertEqual(list(read_user_pool(paths, files)), [])
        disk.put(f"{paths.data}/ssconf_uid_pool", b"5-7\n9\n", 0o444, 0)
        self.assertEqual(list(read_user_pool(paths, files)), [(5, 7), (9, 9)])
