# SPDX-License-Identifier: BSD-2-Clause
"""Problems of a host are found, each with what to do."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from ganeti.node.setup_check import KERNEL_FILE_SYSTEMS, find_setup_problems
from ganeti.paths import Paths
from ganeti.testing.disk import MemoryDisk, MemoryFiles

PATHS = Paths("/node1")


class SetupTests(SynchronousTestCase):
    def problems(
        self, mode: int = 0o640, mounted: Iterable[str] = KERNEL_FILE_SYSTEMS
    ) -> list[str]:
        """The problems of a host with all keys and secrets."""
        disk = MemoryDisk()
        for path in mounted:
            disk.put(path, b"", 0o444, 0.0)
        for path in (PATHS.node_certificate, *PATHS.shared_files, *PATHS.store_files):
            disk.put(path, b"", mode, 0.0)
        return list(find_setup_problems(MemoryFiles(disk), PATHS))

    def test_a_host_as_it_should_be_has_none(self) -> None:
        self.assertEqual(self.problems(), [])

    def test_file_systems_of_the_kernel_that_are_not_mounted_are_named(self) -> None:
        expected = [
            "/proc/meminfo does not exist; mount the kernel's file system on /proc",
            "/sys/class/net does not exist; mount the kernel's file system on /sys",
        ]
        self.assertEqual(self.problems(mounted=()), expected)

    def test_each_key_and_secret_that_every_user_reaches_is_named(self) -> None:
        for mode in (0o644, 0o642, 0o641):
            found = self.problems(mode)
            self.assertEqual(len(found), 1 + len({*PATHS.shared_files, *PATHS.store_files}))
            path = PATHS.node_certificate
            self.assertIn(
                f"{path} is accessible to every user of the host; use chmod o= {path}", found
            )

    def test_files_that_a_node_does_not_have_are_no_problem(self) -> None:
        disk = MemoryDisk()
        for path in KERNEL_FILE_SYSTEMS:
            disk.put(path, b"", 0o444, 0.0)
        self.assertEqual(list(find_setup_problems(MemoryFiles(disk), PATHS)), [])
