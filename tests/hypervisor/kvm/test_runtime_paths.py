# SPDX-License-Identifier: BSD-2-Clause
"""Sockets have paths that the kernel takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.hypervisor.kvm.runtime_paths import places


class PlacesTests(SynchronousTestCase):
    def test_files_are_named_after_the_guest(self) -> None:
        self.assertEqual(
            places("/run/kvm", "web1.example.com").qmp, "/run/kvm/web1.example.com.qmp"
        )

    @given(st.text(min_size=1, max_size=255))
    def test_every_name_has_a_socket_in_its_folder(self, name: str) -> None:
        for path in places("/run/kvm", name).all_paths:
            self.assertLessEqual(len(path.encode()), 107)
            self.assertEqual(path.rpartition("/")[0], "/run/kvm")

    def test_a_folder_that_is_too_deep_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "use a shorter root directory"):
            places("/" + "x" * 100, "web1")
