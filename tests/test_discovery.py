# SPDX-License-Identifier: BSD-2-Clause
"""Trial finds the tests of a folder by importing it: without ``__init__.py`` they never run."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase


class DiscoveryTests(SynchronousTestCase):
    def test_every_folder_with_tests_is_a_package(self) -> None:
        folders = {path.parent for path in Path(__file__).parent.rglob("test_*.py")}
        without = [str(each) for each in folders if not (each / "__init__.py").exists()]
        self.assertEqual(sorted(without), [], "add an empty __init__.py")
