# SPDX-License-Identifier: BSD-2-Clause
"""Hard links on a real file system, which stand for disks that several hosts share."""

from __future__ import annotations

import fcntl
import os

from twisted.trial.unittest import SynchronousTestCase

from ganeti.system import hardlinks


class HardlinksTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.one, self.two = (os.path.join(self.folder, name) for name in ("one", "two"))

    def put(self, path: str, content: bytes) -> str:
        hardlinks.write(path, content)
        return path

    def test_a_file_that_joins_another_is_the_same(self) -> None:
        self.put(self.one, b"first")
        self.put(self.two, b"second")
        self.assertFalse(hardlinks.same(self.one, self.two))
        hardlinks.join(self.two, self.one)
        self.assertTrue(hardlinks.same(self.one, self.two))
        self.assertEqual(hardlinks.read(self.two), b"first")

    def test_a_file_joins_once_more_without_harm(self) -> None:
        self.put(self.one, b"first")
        for _ in range(2):
            hardlinks.join(self.two, self.one)
        self.assertEqual(sorted(os.listdir(self.folder)), ["one", "two"])

    def test_what_an_interrupted_step_has_left_is_replaced(self) -> None:
        self.put(self.one, b"first")
        self.put(f"{self.two}.new", b"left")
        hardlinks.join(self.two, self.one)
        self.put(f"{self.two}.new", b"left")
        hardlinks.part(self.two)
        self.assertEqual(hardlinks.read(self.two), b"first")
        self.assertEqual(sorted(os.listdir(self.folder)), ["one", "two"])

    def test_a_file_that_parts_has_the_content_and_changes_alone(self) -> None:
        self.put(self.one, b"first")
        hardlinks.join(self.two, self.one)
        hardlinks.part(self.two)
        with open(self.two, "r+b") as file:
            file.write(b"FIRST")
        self.assertEqual((hardlinks.read(self.one), hardlinks.read(self.two)), (b"first", b"FIRST"))
        self.assertEqual(os.stat(self.two).st_mode & 0o777, 0o600)

    def test_holes_stay_holes_in_a_copy(self) -> None:
        size = 64 << 20
        with open(self.one, "wb") as file:
            file.seek(32 << 20)
            file.write(b"data")
            file.truncate(size)
        hardlinks.join(self.two, self.one)
        hardlinks.part(self.two)
        found = os.stat(self.two)
        self.assertEqual(found.st_size, size)
        self.assertLess(found.st_blocks * 512, 2 << 20)
        with open(self.two, "rb") as file:
            file.seek((32 << 20) - 2)
            self.assertEqual(file.read(8), b"\0\0data\0\0")

    def test_an_empty_file_is_copied(self) -> None:
        self.put(self.one, b"")
        hardlinks.part(self.one)
        self.assertEqual(hardlinks.read(self.one), b"")

    def test_a_file_that_does_not_exist_has_no_content_and_is_like_no_other(self) -> None:
        self.put(self.one, b"")
        self.assertIsNone(hardlinks.read(self.two))
        self.assertFalse(hardlinks.same(self.one, self.two))
        self.assertEqual([hardlinks.is_there(each) for each in (self.one, self.two)], [True, False])

    def test_a_link_that_leads_nowhere_is_there(self) -> None:
        os.symlink("nowhere", self.one)
        self.assertTrue(hardlinks.is_there(self.one))

    def test_none_removes_a_file_also_when_it_is_gone(self) -> None:
        path = os.path.join(self.folder, "new", "file")
        self.put(path, b"x")
        for _ in range(2):
            hardlinks.write(path, None)
            self.assertFalse(hardlinks.is_there(path))

    def test_a_lock_is_exclusive_and_ends_with_its_block(self) -> None:
        folder = os.path.join(self.folder, "locks")
        with hardlinks.locked(folder):
            handle = os.open(folder, os.O_RDONLY)
            self.addCleanup(os.close, handle)
            with self.assertRaises(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
