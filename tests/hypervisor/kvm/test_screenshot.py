# SPDX-License-Identifier: BSD-2-Clause
"""A picture of the screen is small, and one that every browser shows."""

from __future__ import annotations

import struct
import zlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.hypervisor.kvm.screenshot import MAX_WIDTH, small_png


def ppm(width: int, height: int, pixels: bytes) -> bytes:
    return b"P6\n%d %d\n255\n%b" % (width, height, pixels)


def read(png: bytes) -> tuple[int, int, bytes]:
    """The size and the rows of a PNG, whose checksums are right."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, rest = {}, png[8:]
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        kind, data = rest[4:8], rest[8 : 8 + length]
        assert struct.unpack(">I", rest[8 + length : 12 + length]) == (zlib.crc32(kind + data),)
        chunks[kind], rest = data, rest[12 + length :]
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    return width, height, zlib.decompress(chunks[b"IDAT"])


class ScreenshotTests(SynchronousTestCase):
    @given(st.integers(1, 40), st.integers(1, 20))
    def test_a_small_screen_is_shown_as_it_is(self, width: int, height: int) -> None:
        pixels = bytes(index * 7 % 256 for index in range(3 * width * height))
        rows = [pixels[start : start + 3 * width] for start in range(0, len(pixels), 3 * width)]
        expected = b"".join(b"\0" + row for row in rows)
        self.assertEqual(read(small_png(ppm(width, height, pixels))), (width, height, expected))

    def test_a_large_one_is_made_smaller(self) -> None:
        width, height = 2 * MAX_WIDTH + 1, 7
        found = read(small_png(ppm(width, height, b"\x80" * 3 * width * height)))
        self.assertEqual(found[:2], (534, 3))
        self.assertEqual(found[2], (b"\0" + b"\x80" * 3 * 534) * 3)

    def test_what_is_no_picture_is_refused(self) -> None:
        for wrong in (b"", b"P6\n2 2\n255\nxx", b"P5\n1 1\n255\nx", ppm(0, 0, b"")):
            with self.assertRaises(Failed):
                small_png(wrong)
