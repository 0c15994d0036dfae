# SPDX-License-Identifier: BSD-2-Clause
"""Disk images: files of this host, and their double in memory."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ganeti.system.images import LocalImages
from ganeti.system.interfaces import IImages
from ganeti.system.threads import P, T
from ganeti.testing.images import MemoryImages
from tests.contracts.images import ImagesContract


def at_once(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
    """Instead of a thread: the work is over when this returns."""
    return succeed(function(*args, **kwargs))


class MemoryImagesTests(ImagesContract, SynchronousTestCase):
    def make(self) -> tuple[str, IImages]:
        return "/images", MemoryImages()


class LocalImagesTests(ImagesContract, SynchronousTestCase):
    def make(self) -> tuple[str, IImages]:
        return os.path.realpath(self.mktemp()), LocalImages(at_once)

    def test_an_image_is_sparse_and_private(self) -> None:
        path = f"{self.folder}/web1/disk0"
        self.done(self.images.create(path, 1 << 30))
        found = os.stat(path)
        self.assertEqual((found.st_blocks, found.st_mode & 0o777), (0, 0o600))

    def test_removing_the_last_image_removes_its_folder_only(self) -> None:
        path = f"{self.folder}/web1/disk0"
        self.done(self.images.create(path, 1))
        self.done(self.images.remove(path, within=self.folder))
        self.assertEqual(os.listdir(self.folder), [])

    def test_zeros_are_written_where_asked(self) -> None:
        os.makedirs(self.folder)
        path = f"{self.folder}/disk0"
        with open(path, "wb") as file:
            file.write(b"x" * (3 << 20))
        self.done(self.images.zero(path, 10, (2 << 20) + 5))
        with open(path, "rb") as file:
            zeros = bytes((2 << 20) + 5)
            self.assertEqual(file.read(), b"x" * 10 + zeros + b"x" * ((1 << 20) - 15))

    def test_what_differs_is_copied(self) -> None:
        os.makedirs(self.folder)
        content = {"source": b"a" * (1 << 20) + b"b" * 100, "target": b"a" * (1 << 20) + b"c" * 100}
        for name, data in content.items():
            with open(f"{self.folder}/{name}", "wb") as file:
                file.write(data)
        paths = (f"{self.folder}/source", f"{self.folder}/target")
        self.done(self.images.copy_differences(*paths))
        with open(paths[1], "rb") as file:
            self.assertEqual(file.read(), content["source"])

    def test_symbolic_links_are_followed_to_resolve_and_not_to_create(self) -> None:
        os.makedirs(self.folder)
        os.symlink("/etc", f"{self.folder}/link")
        os.symlink("/etc/new", f"{self.folder}/disk0")
        self.assertEqual(self.images.resolve(f"{self.folder}/link/x"), "/etc/x")
        self.trouble(self.images.create(f"{self.folder}/disk0", 1), FileExistsError)
        self.assertEqual(self.done(self.images.below(self.folder)), {})


class WaitingTests(SynchronousTestCase):
    def test_work_is_over_when_the_thread_says_so(self) -> None:
        thread: Deferred[None] = Deferred()

        def later(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
            return thread.addCallback(lambda _: function(*args, **kwargs))

        path = os.path.realpath(self.mktemp())
        creating = Deferred.fromCoroutine(LocalImages(later).create(path, 1))
        self.assertNoResult(creating)
        thread.callback(None)
        self.assertIsNone(self.successResultOf(creating))
