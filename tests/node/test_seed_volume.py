# SPDX-License-Identifier: BSD-2-Clause
"""The volume for a guest's first boot is one that cloud-init finds and reads."""

from __future__ import annotations

import io

from pycdlib import PyCdlib
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.node.seed_volume import MAX_SIZE, build_seed_volume

FILES = {"meta-data": b"{}\n", "network-config": b"", "user-data": b"#cloud-config\n" * 1000}


class SeedVolumeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.volume = PyCdlib()
        self.volume.open_fp(io.BytesIO(build_seed_volume(FILES)))
        self.addCleanup(self.volume.close)

    def test_its_label_is_the_one_that_is_searched_for(self) -> None:
        label = self.volume.pvd.volume_identifier
        self.assertEqual(label.rstrip(b" "), b"cidata")

    def test_the_files_have_their_names_in_both_extensions(self) -> None:
        for name, content in FILES.items():
            for way in ({"rr_path": f"/{name}"}, {"joliet_path": f"/{name}"}):
                read = io.BytesIO()
                self.volume.get_file_from_iso_fp(read, **way)
                self.assertEqual(read.getvalue(), content, (name, way))

    def test_too_much_is_refused(self) -> None:
        build_seed_volume({"user-data": bytes(MAX_SIZE)})
        with self.assertRaisesRegex(Failed, "1048577 bytes; at most 1048576 are possible"):
            build_seed_volume({"user-data": bytes(MAX_SIZE), "meta-data": b"x"})
