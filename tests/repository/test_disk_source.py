# SPDX-License-Identifier: BSD-2-Clause
"""Disks that nothing changes are sent with their holes, and as large as they should be."""

from __future__ import annotations

import io
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.repository.disk_source import make_extent, send_image
from ganeti.repository.extents import MAX_DATA, Extent, StreamHead, read_extents, read_head


class SendImageTests(SynchronousTestCase):
    def image(self, size: int, *parts: tuple[int, bytes]) -> str:
        """A sparse file with these data at these offsets."""
        path: str = self.mktemp()
        with open(path, "wb") as file:
            file.truncate(size)
            for offset, data in parts:
                file.seek(offset)
                file.write(data)
        return path

    def sent(self, path: str, size: int) -> tuple[StreamHead, list[Extent]]:
        stream = io.BytesIO()
        send_image(path, size, stream.write)
        stream.seek(0)
        head = read_head(stream.read)
        return head, list(read_extents(stream.read, head.size))

    def test_all_of_a_file_is_sent_in_order_and_holes_as_such(self) -> None:
        data = Random(1).randbytes(8192)
        size = 3 * MAX_DATA
        head, extents = self.sent(self.image(size, (MAX_DATA + 4096, data)), size)
        self.assertEqual((head.size, head.changes), (size, False))
        self.assertEqual(sum(each.length for each in extents), size)
        content = b"".join(each.data or bytes(each.length) for each in extents)
        self.assertEqual(content.strip(b"\0"), data.strip(b"\0"))
        self.assertLess(sum(len(each.data or b"") for each in extents), MAX_DATA)

    def test_a_volume_that_was_rounded_up_is_sent_to_its_size(self) -> None:
        head, extents = self.sent(self.image(10000, (0, b"x" * 10000)), 8192)
        self.assertEqual((head.size, sum(each.length for each in extents)), (8192, 8192))

    def test_a_file_that_is_too_small_is_refused(self) -> None:
        with self.assertRaisesRegex(Failed, "has 100 bytes instead of 200"):
            self.sent(self.image(100), 200)

    def test_zeros_are_not_sent_as_data(self) -> None:
        self.assertEqual(make_extent(5, bytes(3)), Extent(5, 3))
        self.assertEqual(make_extent(5, b"\0x"), Extent(5, 2, b"\0x"))
