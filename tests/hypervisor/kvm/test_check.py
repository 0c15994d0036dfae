# SPDX-License-Identifier: BSD-2-Clause
"""What a node has to say to parameters of KVM guests."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.hypervisor.kvm.check import problems, too_many_disks
from ganeti.model.parameters.kvm import Kvm
from ganeti.testing.disk import MemoryDisk, MemoryFiles


class CheckTests(SynchronousTestCase):
    def found(self, kvm: Kvm) -> dict[str, str]:
        disk = MemoryDisk()
        disk.put("/vmlinuz", b"", 0o644, 0)
        return {each.path: each.message for each in problems(kvm, MemoryFiles(disk))}

    def test_files_that_are_there_are_no_problem(self) -> None:
        self.assertEqual(self.found(Kvm(kernel_path="/vmlinuz")), {})
        self.assertEqual(self.found(Kvm(kernel_path="", cdrom_image_path="http://x/y")), {})

    def test_every_problem_is_listed_with_its_parameter(self) -> None:
        kvm = Kvm(
            kernel_path="/missing",
            cdrom_image_path="/cd",
            spice_bind="0.0.0.0",
            disk_type="mtd",
            disk_aio="native",
            cpu_mask="0:1",
            kvm_extra="'",
        )
        found = self.found(kvm)
        self.assertEqual(found["kernel_path"], "there is no /missing on this node")
        named = ["cdrom_image_path", "cpu_mask", "disk_aio", "disk_type", "kernel_path",
                 "kvm_extra", "spice_bind"]  # fmt: skip
        self.assertEqual(sorted(found), named)

    def test_ide_has_four_places(self) -> None:
        ide = Kvm(disk_type="ide", cdrom_image_path="/cd")
        self.assertEqual([bool(too_many_disks(ide, count)) for count in (3, 4)], [False, True])
        self.assertEqual(too_many_disks(Kvm(), 16), "")
