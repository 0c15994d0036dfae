# SPDX-License-Identifier: BSD-2-Clause
"""The stream of a disk: its areas come back in order, and a stream without its end is refused."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.repository.extents import (
    Extent,
    StreamHead,
    encode_end,
    encode_extent,
    encode_head,
    read_extents,
    read_head,
)


class StreamTests(SynchronousTestCase):
    @given(st.booleans(), st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=9))
    def test_areas_come_back_as_they_were_sent(
        self, changes: bool, parts: list[tuple[int, bool]]
    ) -> None:
        sent, at = [], 0
        for length, zeros in parts:
            sent.append(Extent(at, length, None if zeros else b"x" * length))
            at += length + 3
        content = encode_head(StreamHead(at, changes)) + b"".join(map(encode_extent, sent))
        read = io.BytesIO(content + encode_end()).read
        head = read_head(read)
        self.assertEqual(
            (head, list(read_extents(read, head.size))), (StreamHead(at, changes), sent)
        )

    @given(st.integers(0, 70))
    def test_a_stream_without_its_end_is_refused(self, length: int) -> None:
        whole = (
            encode_head(StreamHead(100)) + encode_extent(Extent(0, 25, b"y" * 25)) + encode_end()
        )
        read = io.BytesIO(whole[: min(length, len(whole) - 1)]).read
        with self.assertRaisesRegex(Failed, "ended early"):
            list(read_extents(read, read_head(read).size))

    @given(st.binary(min_size=13, max_size=200))
    def test_nonsense_is_refused(self, content: bytes) -> None:
        read = io.BytesIO(content).read
        with self.assertRaises(Failed):
            list(read_extents(read, read_head(read).size))

    def test_areas_outside_of_the_disk_or_out_of_order_are_refused(self) -> None:
        for extents in (
            [Extent(90, 11)],
            [Extent(50, 10), Extent(40, 10)],
            [Extent(0, 10), Extent(5, 10)],
        ):
            read = io.BytesIO(b"".join(map(encode_extent, extents)) + encode_end()).read
            with self.assertRaisesRegex(Failed, "impossible area"):
                list(read_extents(read, 100))
