# SPDX-License-Identifier: BSD-2-Clause
"""Small pictures of a guest's screen: what QEMU writes (PPM) made into what browsers show (PNG)."""

from __future__ import annotations

import re
import struct
import zlib

from ganeti.errors import Code, Failed

MAX_WIDTH = 800
"""Wider screens are made smaller: to their half, third and so on."""

MAX_SCREEN = 64 * 1024 * 1024
"""How many bytes a picture of QEMU may have: a screen of some 4096 x 4096 pixels."""

# The guest determines the size of its screen, so that it is bounded before it is multiplied.
_HEADER = re.compile(rb"P6\s+(\d{1,5})\s+(\d{1,5})\s+255\s")


def small_png(ppm: bytes) -> bytes:
    """Return a picture as PNG (ISO/IEC 15948), at most ``MAX_WIDTH`` pixels wide.

    :raises Failed: it is no picture in the format PPM.
    """
    header = _HEADER.match(ppm)
    if header is None:
        raise Failed("QEMU wrote no picture of the screen", Code.ENVIRONMENT)
    width, height = int(header[1]), int(header[2])
    pixels = memoryview(ppm)[header.end() :]
    if not width or not height or len(pixels) != 3 * width * height:
        raise Failed("the picture of the screen is not complete", Code.ENVIRONMENT)
    step = -(-width // MAX_WIDTH)
    small_width = -(-width // step)
    rows = bytearray()
    for y in range(0, height, step):
        row = bytes(pixels[3 * width * y : 3 * width * (y + 1)])
        small = bytearray(3 * small_width)
        for color in range(3):
            small[color::3] = row[color :: 3 * step]
        rows += b"\0" + small  # filter type 0: none
    head = struct.pack(">IIBBBBB", small_width, -(-height // step), 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(rows), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
