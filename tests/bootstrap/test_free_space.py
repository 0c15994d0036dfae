# SPDX-License-Identifier: BSD-2-Clause
"""A node needs space for its state."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.free_space import MIN_FREE, Space, describe_shortage, read_space


class FreeSpaceTests(SynchronousTestCase):
    def test_a_folder_that_will_be_made_is_on_the_file_system_above_it(self) -> None:
        top = os.path.abspath(self.mktemp())
        os.mkdir(top)
        self.assertGreater(read_space(f"{top}/var/lib").free, 0)

    def test_just_enough_is_enough(self) -> None:
        self.assertEqual(describe_shortage("/var", Space(MIN_FREE, writable=True)), "")
        self.assertIn("63 MiB", describe_shortage("/var", Space(MIN_FREE - 1, writable=True)))

    def test_a_file_system_without_write_access_is_not_measured(self) -> None:
        shortage = describe_shortage("/var", Space(MIN_FREE, writable=False))
        self.assertIn("mounted read-only", shortage)
