# SPDX-License-Identifier: BSD-2-Clause
"""Images are open as raw files as long as somebody reads or writes them, and no longer."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.node.raw_images import PROGRAM, TIMEOUT, RawImages
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.processes import MemoryProcesses, Ran, Script

T = TypeVar("T")
IMAGE = "/srv/disk0"
FOLDER = "/run/raw-images"


class RawImagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.disk = Clock(), MemoryDisk()
        self.disk.add_folder("/run", 0o755)
        self.processes = MemoryProcesses(
            self.clock, {PROGRAM: self.start_daemon, "umount": Script(code=32)}
        )
        self.images = self.make()
        self.opened: list[AbstractAsyncContextManager[str]] = []

    def make(self) -> RawImages:
        return RawImages(self.processes, MemoryFiles(self.disk), self.clock, FOLDER)

    def start_daemon(self, ran: Ran) -> Script:
        """A storage daemon that leaves a process and its pid file."""
        pid = self.processes.spawn()
        self.processes.alive[pid] = ran
        self.disk.put(ran.argv[ran.argv.index("--pidfile") + 1], b"%d\n" % pid, 0o600, 0.0)
        return Script()

    def done(self, work: Awaitable[T]) -> T:
        running: Deferred[T] = Deferred.fromCoroutine(work)  # type: ignore[arg-type]
        self.clock.pump([0.1] * 5)
        return self.successResultOf(running)

    def open(self) -> AbstractAsyncContextManager[str]:
        """Open the image, and keep it open."""
        opened = self.images.open_image(IMAGE)
        self.done(opened.__aenter__())
        self.opened.append(opened)
        self.addCleanup(self.close, opened)
        return opened

    def close(self, opened: AbstractAsyncContextManager[str]) -> None:
        """Close an image that a test has left open, in whatever way."""
        if opened in self.opened:
            closing = Deferred.fromCoroutine(opened.__aexit__(None, None, None))
            self.clock.pump([1.0] * (int(TIMEOUT) + 2))
            closing.addErrback(lambda failure: failure.trap(Failed))

    def daemons(self) -> list[Ran]:
        return [ran for ran in self.processes.alive.values() if ran.argv[0] == PROGRAM]

    def files(self) -> list[str]:
        return MemoryFiles(self.disk).names(FOLDER)

    def test_an_image_is_opened_once_for_all_and_closed_after_the_last(self) -> None:
        first, second = self.images.open_image(IMAGE), self.images.open_image(IMAGE)
        paths = {self.done(first.__aenter__()), self.done(second.__aenter__())}
        self.assertEqual((len(paths), len(self.daemons())), (1, 1))
        self.done(first.__aexit__(None, None, None))
        self.assertEqual(len(self.daemons()), 1)
        self.done(second.__aexit__(None, None, None))
        self.assertEqual((self.daemons(), self.files()), ([], []))

    def test_the_format_is_given_and_no_backing_file_is_opened(self) -> None:
        self.open()
        argv = self.processes.ran[0].argv
        node = json.loads(argv[argv.index("--blockdev") + 1])
        self.assertEqual((node["driver"], node["backing"]), ("qcow2", None))
        self.assertEqual(node["file"], {"driver": "file", "filename": IMAGE})

    def test_what_a_killed_daemon_has_left_is_ended_before_a_guest_gets_the_image(self) -> None:
        self.open()
        self.done(self.make().give_image(IMAGE))
        self.assertEqual((self.daemons(), self.files()), ([], []))
        self.assertEqual(self.processes.ran[-1].argv[0], "umount")

    def test_a_pid_that_another_process_has_by_now_is_not_ended(self) -> None:
        self.open()
        [pid] = self.processes.alive
        self.processes.alive[pid] = Ran(("/usr/bin/other",), {})
        self.done(self.make().give_image(IMAGE))
        self.assertIn(pid, self.processes.alive)

    def test_an_image_in_use_is_not_given_to_a_guest(self) -> None:
        self.open()
        giving = Deferred.fromCoroutine(self.images.give_image(IMAGE))
        self.failureResultOf(giving, Refused)
        self.assertEqual(len(self.daemons()), 1)

    def test_an_image_without_a_daemon_is_given_at_once(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.images.give_image(IMAGE)))
        self.assertEqual(self.processes.ran, [])

    def test_without_fuse_the_reason_says_what_is_needed(self) -> None:
        self.processes.programs[PROGRAM] = Script(code=1, err=b"fuse: device not found\n")
        opening = Deferred.fromCoroutine(self.images.open_image(IMAGE).__aenter__())
        error = self.failureResultOf(opening, Failed).value
        self.assertIn("fuse: device not found; this needs", str(error))

    def test_a_daemon_that_does_not_end_is_reported(self) -> None:
        opened = self.open()
        self.opened.remove(opened)
        self.processes.kill = lambda pid, signal: None  # type: ignore[method-assign]
        closing = Deferred.fromCoroutine(opened.__aexit__(None, None, None))
        self.clock.pump([1.0] * (int(TIMEOUT) + 2))
        self.assertIn("does not end", str(self.failureResultOf(closing, Failed).value))
