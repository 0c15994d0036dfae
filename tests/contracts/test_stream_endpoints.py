# SPDX-License-Identifier: BSD-2-Clause
"""Files and pipes as the ends of a transfer: holes, limits, and what is durable."""

from __future__ import annotations

import os
import stat

from twisted.trial.unittest import SynchronousTestCase

from ganeti.system.cancellation import Cancelled, CancelSwitch
from ganeti.system.stream_endpoints import CHUNK, FileSink, FileSource, PipeSink, PipeSource


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = os.path.abspath(self.mktemp())

    def sink(self, *, create: bool = True, room: int | None = None) -> FileSink:
        sink = FileSink(self.path, create=create, room=room)
        self.addCleanup(sink.close)
        return sink

    def content(self) -> bytes:
        with open(self.path, "rb") as file:
            return file.read()

    def test_a_file_is_read_to_its_end(self) -> None:
        with open(self.path, "wb") as file:
            file.write(b"abcde")
        source, buffer = FileSource(self.path), bytearray(3)
        self.addCleanup(source.close)
        counts = [source.read_into(memoryview(buffer)) for _ in range(3)]
        self.assertEqual((counts, bytes(buffer)), ([3, 2, 0], b"dec"))

    def test_only_the_given_bytes_of_a_buffer_are_written_one_after_the_other(self) -> None:
        sink = self.sink()
        for buffer, amount in ((bytearray(b"abcd"), 2), (bytearray(b"xy"), 2)):
            sink.write_from(buffer, amount)
        sink.complete()
        self.assertEqual(self.content(), b"abxy")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_zeros_at_the_end_of_a_file_count_and_take_no_space(self) -> None:
        sink = self.sink()
        for _ in range(64):
            sink.write_from(bytearray(CHUNK), CHUNK)
        sink.complete()
        found = os.stat(self.path)
        self.assertEqual((found.st_size, found.st_blocks), (64 * CHUNK, 0))

    def test_zeros_replace_data_that_was_there(self) -> None:
        with open(self.path, "wb") as file:
            file.write(b"x" * 3000)
        sink = self.sink(create=False)
        sink.write_from(bytearray(1000), 1000)
        sink.complete()
        self.assertEqual(self.content(), bytes(1000) + b"x" * 2000)

    def test_a_new_file_replaces_the_content_of_an_old_one(self) -> None:
        with open(self.path, "wb") as file:
            file.write(b"old content")
        sink = self.sink()
        sink.write_from(bytearray(b"new"), 3)
        sink.complete()
        self.assertEqual(self.content(), b"new")

    def test_a_disk_takes_exactly_as_much_as_it_has_room_for(self) -> None:
        sink = self.sink(room=4)
        sink.write_from(bytearray(b"abcd"), 4)
        with self.assertRaisesRegex(OSError, "the data is larger than the disk"):
            sink.write_from(bytearray(1), 1)

    def test_no_file_is_created_through_a_symbolic_link(self) -> None:
        os.symlink(f"{self.path}.target", self.path)
        with self.assertRaises(OSError):
            FileSink(self.path, create=True, room=None)
        self.assertFalse(os.path.exists(f"{self.path}.target"))

    def test_a_disk_that_does_not_exist_is_not_created(self) -> None:
        with self.assertRaises(FileNotFoundError):
            FileSink(self.path, create=False, room=None)


class PipeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.switch = CancelSwitch()
        self.addCleanup(self.switch.close)
        self.read, self.write = os.pipe()

    def test_what_a_program_writes_is_read_until_it_ends(self) -> None:
        source, buffer = PipeSource(self.read, self.switch), bytearray(8)
        self.addCleanup(source.close)
        os.write(self.write, b"abc")
        self.assertEqual(source.read_into(memoryview(buffer)), 3)
        os.close(self.write)
        self.assertEqual(source.read_into(memoryview(buffer)), 0)

    def test_a_wait_for_a_program_is_canceled(self) -> None:
        source = PipeSource(self.read, self.switch)
        self.addCleanup(source.close)
        self.addCleanup(os.close, self.write)
        self.switch.pull()
        with self.assertRaises(Cancelled):
            source.read_into(memoryview(bytearray(8)))

    def test_a_program_gets_only_the_given_bytes(self) -> None:
        sink = PipeSink(self.write, self.switch)
        self.addCleanup(os.close, self.read)
        sink.write_from(bytearray(b"abcd"), 2)
        sink.complete()
        sink.close()
        self.assertEqual(os.read(self.read, 8), b"ab")

    def test_a_program_that_reads_nothing_more_can_be_left(self) -> None:
        sink = PipeSink(self.write, self.switch)
        self.addCleanup(sink.close)
        self.addCleanup(os.close, self.read)
        self.switch.pull()
        large = bytearray(1 << 22)  # more than a pipe takes
        with self.assertRaises(Cancelled):
            sink.write_from(large, len(large))

    def test_a_program_that_has_ended_is_an_error(self) -> None:
        sink = PipeSink(self.write, self.switch)
        self.addCleanup(sink.close)
        os.close(self.read)
        with self.assertRaises(BrokenPipeError):
            sink.write_from(bytearray(b"x"), 1)
