# SPDX-License-Identifier: BSD-2-Clause
"""The disk in memory misbehaves as a disk does."""

from __future__ import annotations

import errno
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.testing.disk import Crashed, MemoryDisk, MemoryFiles


class MemoryDiskTests(SynchronousTestCase):
    def test_the_write_that_was_named_fails_and_no_other(self) -> None:
        disk = MemoryDisk()
        files = MemoryFiles(disk)
        disk.fail(2, errno.EIO)
        self.successResultOf(files.replace("/a", b"1"))
        failure = self.failureResultOf(files.replace("/a", b"2"), OSError)
        self.assertEqual(failure.value.errno, errno.EIO)
        self.assertEqual(files.read("/a"), b"1")
        self.successResultOf(files.replace("/a", b"3"))
        self.assertEqual(disk.writes, 3)

    def test_a_crash_keeps_what_was_synced_and_some_of_the_rest(self) -> None:
        remains = set()
        for seed in range(50):
            disk = MemoryDisk(Random(seed))
            log = self.successResultOf(MemoryFiles(disk).open_log("/log"))
            self.successResultOf(log.write(b"synced "))
            disk.crash(at=disk.writes + 1)
            self.failureResultOf(log.write(b"torn"), Crashed)
            self.failureResultOf(log.write(b"late"), AssertionError)
            remains.add(disk.after_crash().contents()["/log"])
        self.assertLessEqual({b"synced ", b"synced t", b"synced torn"}, remains)
        self.assertEqual([each for each in remains if not each.startswith(b"synced ")], [])

    def test_a_crash_at_a_replacement_leaves_the_old_or_the_new(self) -> None:
        found = set()
        for seed in range(20):
            disk = MemoryDisk(Random(seed))
            files = MemoryFiles(disk)
            self.successResultOf(files.replace("/a", b"old"))
            disk.crash(at=2)
            self.failureResultOf(files.replace("/a", b"new"), Crashed)
            with self.assertRaises(Crashed):
                files.read("/a")
            found.add(disk.after_crash().contents()["/a"])
        self.assertEqual(found, {b"old", b"new"})

    def test_a_write_under_way_when_the_disk_crashes_is_never_confirmed(self) -> None:
        clock, disk = Clock(), MemoryDisk()
        files = MemoryFiles(disk, clock, latency=1.0)
        opening = Deferred.fromCoroutine(files.open_log("/log"))
        clock.advance(1)
        writing = Deferred.fromCoroutine(self.successResultOf(opening).write(b"data"))
        self.assertNoResult(writing)
        disk.crash()
        clock.advance(1)
        self.failureResultOf(writing, Crashed)

    def test_a_full_disk_takes_a_part_until_there_is_room(self) -> None:
        disk = MemoryDisk(Random(1))
        files = MemoryFiles(disk)
        log = self.successResultOf(files.open_log("/log"))
        disk.break_down(errno.ENOSPC)
        self.failureResultOf(log.write(b"x" * 1000), OSError)
        self.assertLess(len(files.read("/log")), 1000)
        disk.heal()
        self.successResultOf(log.truncate(0))
        self.successResultOf(log.write(b"y"))
        self.assertEqual(files.read("/log"), b"y")
