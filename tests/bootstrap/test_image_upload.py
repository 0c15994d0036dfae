# SPDX-License-Identifier: BSD-2-Clause
"""Uploads on this host, in real files."""

from __future__ import annotations

import io
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.image_upload import remove_upload, store_upload
from ganeti.errors import Failed
from ganeti.paths import Paths


class BrokenFile(io.BytesIO):
    """A file that cannot be read to its end."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if not data:
            raise OSError(5, "Input/output error")
        return data


class UploadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(str(Path(self.mktemp()).absolute()))
        self.shown: list[int] = []

    def names(self) -> list[str]:
        return os.listdir(self.paths.uploads)

    def test_a_file_is_copied_with_its_progress(self) -> None:
        content = os.urandom((2 << 20) + 1)
        name = store_upload(self.paths, io.BytesIO(content), self.shown.append)
        path = Path(self.paths.uploads, name)
        self.assertEqual(path.read_bytes(), content)
        self.assertEqual((path.stat().st_mode & 0o777, self.names()), (0o600, [name]))
        self.assertEqual(self.shown, [1 << 20, 2 << 20, (2 << 20) + 1])
        for _ in range(2):
            remove_upload(self.paths, name)
        self.assertEqual(self.names(), [])

    def test_of_a_copy_that_fails_nothing_stays(self) -> None:
        with self.assertRaisesRegex(Failed, "cannot be stored in .*: Input/output error"):
            store_upload(self.paths, BrokenFile(b"hello"), self.shown.append)
        self.assertEqual(self.names(), [])

    def test_an_interrupted_copy_leaves_nothing(self) -> None:
        def interrupt(_: int) -> None:
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            store_upload(self.paths, io.BytesIO(b"hello"), interrupt)
        self.assertEqual(self.names(), [])
