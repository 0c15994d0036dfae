# SPDX-License-Identifier: BSD-2-Clause
"""Uploads of images in real files."""

from __future__ import annotations

import os
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.rapi_services.upload_files import MAX_AGE, LocalUploadPart, LocalUploads
from ganeti.errors import Refused
from tests.node.test_shipped_oses import at_once


class LocalUploadsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute() / "cache" / "uploads"
        self.uploads = LocalUploads(str(self.folder), at_once)

    def open(self, size: int = 0) -> LocalUploadPart:
        opened: LocalUploadPart = self.successResultOf(self.uploads.open_part("debian", size))
        return opened

    def write(self, file: LocalUploadPart, data: bytes) -> None:
        self.successResultOf(file.append_data(data))

    def names(self) -> list[str]:
        return os.listdir(self.folder)

    def test_a_complete_upload_has_a_name_of_its_own(self) -> None:
        file = self.open()
        for piece in (b"abc", b"def"):
            self.write(file, piece)
        name = self.successResultOf(file.complete_part())
        self.assertRegex(name, "^[0-9a-f]{32}$")
        self.assertEqual((self.folder / name).read_bytes(), b"abcdef")
        self.assertEqual((self.names(), self.uploads.part_size("debian")), ([name], 0))
        self.assertEqual(self.folder.stat().st_mode & 0o777, 0o700)

    def test_an_incomplete_one_goes_on_or_begins_again(self) -> None:
        file = self.open()
        self.write(file, b"abc")
        self.successResultOf(file.close_part())
        self.assertEqual(self.uploads.part_size("debian"), 3)
        file = self.open(3)
        self.write(file, b"def")
        self.assertEqual(self.uploads.part_size("debian"), 6)
        self.successResultOf(file.close_part())
        self.successResultOf(self.open().close_part())
        self.assertEqual(self.uploads.part_size("debian"), 0)

    def test_one_client_writes_at_a_time(self) -> None:
        file = self.open()
        self.write(file, b"abc")
        opening = self.uploads.open_part("debian", 0)
        said = str(self.failureResultOf(opening, Refused).value)
        self.assertIn("another client is uploading image debian", said)
        self.assertEqual(self.uploads.part_size("debian"), 3)
        self.successResultOf(file.close_part())

    def test_what_nobody_has_gone_on_with_is_removed(self) -> None:
        self.successResultOf(self.open().close_part())
        old = time.time() - MAX_AGE - 1
        for name in ("old.part", "ab" * 16):
            (self.folder / name).touch()
            os.utime(self.folder / name, (old, old))
        self.successResultOf(self.open().close_part())
        self.assertEqual(self.names(), ["debian.part"])

    def test_discarding_twice_succeeds(self) -> None:
        self.successResultOf(self.open().close_part())
        for _ in range(2):
            self.successResultOf(self.uploads.discard_part("debian"))
        self.assertEqual(self.names(), [])

    def test_there_is_space_before_there_is_a_folder(self) -> None:
        self.assertGreater(self.uploads.free_space(), 0)
        self.assertFalse(self.folder.exists())
