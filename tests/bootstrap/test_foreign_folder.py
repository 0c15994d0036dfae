# SPDX-License-Identifier: BSD-2-Clause
"""A folder of Ganeti's own daemons is told from that of a cluster of this project."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.foreign_folder import explain_foreign, is_foreign
from ganeti.paths import Paths


class ForeignTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(self.paths.data)

    def test_an_empty_folder_is_nobodys(self) -> None:
        self.assertFalse(is_foreign(self.paths))

    def test_a_configuration_or_a_certificate_alone_is_one_of_ganeti(self) -> None:
        for path in (self.paths.config_file, self.paths.node_certificate):
            Path(path).touch()
            self.assertTrue(is_foreign(self.paths), path)
            os.unlink(path)

    def test_one_file_of_ours_makes_the_folder_ours(self) -> None:
        Path(self.paths.config_file).touch()
        for path in (self.paths.journal, self.paths.authority, self.paths.member_list):
            Path(path).touch()
            self.assertFalse(is_foreign(self.paths), path)
            os.unlink(path)

    def test_our_files_alone_are_not_foreign(self) -> None:
        Path(self.paths.authority).touch()
        self.assertFalse(is_foreign(self.paths))

    def test_the_explanation_names_the_ways_to_go_on(self) -> None:
        told = explain_foreign(self.paths)
        self.assertIn(f"run gnt-cluster adopt --check {self.paths.data} on its master", told)
        self.assertIn(f"move {self.paths.data} out of the way", told)
