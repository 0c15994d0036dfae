# SPDX-License-Identifier: BSD-2-Clause
"""Headers of qcow2 images say what the image is, and whether it can be a disk."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis.strategies import binary
from twisted.trial.unittest import SynchronousTestCase

from ganeti.storage.qcow2 import Qcow2Header, read_header
from ganeti.testing.qemu_img_program import write_header

PLAIN = Qcow2Header(1 << 30)


class HeaderTests(SynchronousTestCase):
    def test_a_header_is_read_as_it_was_written(self) -> None:
        for header in (
            PLAIN,
            replace(PLAIN, backed=True),
            replace(PLAIN, data_file=True),
            replace(PLAIN, encrypted=True),
            replace(PLAIN, corrupt=True),
        ):
            self.assertEqual(read_header(write_header(header)), header)

    def test_an_image_that_leads_to_other_data_cannot_be_a_disk(self) -> None:
        for name in ("backed", "data_file", "encrypted", "corrupt"):
            self.assertNotEqual(replace(PLAIN, **{name: True}).problem, "", name)
        self.assertEqual(PLAIN.problem, "")

    def test_files_that_are_no_images_have_no_header(self) -> None:
        whole = write_header(PLAIN)
        later = b"QFI\xfb\0\0\0\x04" + whole[8:]
        for start in (b"", whole[:-1], whole[:20], b"\0" * 104, later):
            self.assertIsNone(read_header(start))

    def test_a_header_of_version_2_has_no_features(self) -> None:
        old = b"QFI\xfb\0\0\0\x02" + write_header(replace(PLAIN, corrupt=True))[8:72]
        self.assertEqual(read_header(old), PLAIN)

    @given(binary(max_size=200))
    def test_no_bytes_make_it_fail(self, start: bytes) -> None:
        read_header(start)
        read_header(write_header(PLAIN)[:8] + start)
