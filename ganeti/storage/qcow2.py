# SPDX-License-Identifier: BSD-2-Clause
"""The header of qcow2 images, see ``docs/interop/qcow2.txt`` of QEMU."""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER_SIZE = 104
"""The bytes of a header of version 3."""

_MAGIC = b"QFI\xfb"
_FIELDS = struct.Struct(">4sIQIIQIIQQIIQ")
_FEATURES = struct.Struct(">Q")
_CORRUPT, _DATA_FILE = 1 << 1, 1 << 2


@dataclass(frozen=True)
class Qcow2Header:
    """What an image says of itself: ``size`` is that of the disk, in bytes.

    ``backed`` is whether it reads from a backing file, ``data_file`` whether its data are in
    another file. ``corrupt`` is whether QEMU has found it to be damaged.
    """

    size: int
    backed: bool = False
    data_file: bool = False
    encrypted: bool = False
    corrupt: bool = False

    @property
    def problem(self) -> str:
        """Why the image cannot be the disk of an instance; empty if it can."""
        # A file that is named in the header is read as the disk.
        if self.backed:
            return "has a backing file; copy it into one image: qemu-img convert -O qcow2"
        if self.data_file:
            return "keeps its data in another file; copy it into one image: qemu-img convert"
        if self.encrypted:
            return "is encrypted, and no key is known for it"
        if self.corrupt:
            return "is damaged; shut the instance down and repair it: qemu-img check -r all"
        return ""


def read_header(start: bytes) -> Qcow2Header | None:
    """Return the header in the first bytes of a file; None if the file is no qcow2 image."""
    if len(start) < _FIELDS.size:
        return None
    magic, version, backing, _, _, size, crypt, *_ = _FIELDS.unpack_from(start)
    if magic != _MAGIC or version not in (2, 3):
        return None
    features = 0
    if version == 3:
        if len(start) < HEADER_SIZE:
            return None
        (features,) = _FEATURES.unpack_from(start, _FIELDS.size)
    return Qcow2Header(
        size,
        backed=bool(backing),
        data_file=bool(features & _DATA_FILE),
        encrypted=bool(crypt),
        corrupt=bool(features & _CORRUPT),
    )
