# SPDX-License-Identifier: BSD-2-Clause
"""Files of this host, and their double in memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable

from twisted.internet.defer import execute
from twisted.trial.unittest import SynchronousTestCase

from ganeti.system.files import LocalFiles, LocalLog, _serial
from ganeti.system.interfaces import IFiles
from ganeti.system.threads import P, T
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from tests.contracts.files import FilesContract


def at_once(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
    """Instead of a thread: the work is over when this returns."""
    return execute(function, *args, **kwargs)


class MemoryFilesTests(FilesContract, SynchronousTestCase):
    def make(self) -> tuple[str, IFiles]:
        return "/", MemoryFiles(MemoryDisk())


class LocalFilesTests(FilesContract, SynchronousTestCase):
    user = os.geteuid()

    def make(self) -> tuple[str, IFiles]:
        folder = os.path.realpath(self.mktemp())
        os.mkdir(folder)
        return folder, LocalFiles(at_once)

    def test_a_replacement_that_fails_leaves_the_old_file_only(self) -> None:
        self.done(self.files.replace(self.path("a"), b"old"))
        os.mkdir(self.path("b"))
        both = {self.path("a"): b"new", self.path("b"): b"in the way"}
        self.trouble(self.files.replace_all(both), IsADirectoryError)
        self.assertEqual(self.files.names(self.folder), ["a", "b"])

    def test_what_a_crash_has_left_under_a_temporary_name_is_overwritten(self) -> None:
        # The numbers of processes begin at the same ones after each boot.
        left = self.path(f".a.{os.getpid()}.{next(_serial) + 1}.tmp")
        with open(left, "w") as file:
            file.write("what an earlier process has begun to write")
        self.done(self.files.replace(self.path("a"), b"new"))
        self.assertEqual(self.files.names(self.path("")), ["a"])
        self.assertEqual(self.files.read(self.path("a")), b"new")

    def test_a_full_disk_is_told(self) -> None:
        log = LocalLog(os.open("/dev/full", os.O_WRONLY), at_once)
        failure = self.failureResultOf(log.write(b"data"), OSError)
        self.assertEqual(failure.value.errno, errno.ENOSPC)
