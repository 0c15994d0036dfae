# SPDX-License-Identifier: BSD-2-Clause
"""Reads a disk and writes the stream of its areas; everything here blocks.

A disk that nothing changes is read from its file or device. One of a running guest is read from
QEMU's export by NBD, which shows it as it was at one moment, and knows what has changed since an
earlier one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ganeti.errors import Code, Failed
from ganeti.repository.extents import (
    MAX_DATA,
    Extent,
    StreamHead,
    encode_end,
    encode_extent,
    encode_head,
)
from ganeti.system.cancellation import CancelSwitch
from ganeti.system.nbd_client import NbdClient

_ZEROS = bytes(MAX_DATA)


@dataclass(frozen=True)
class NbdExport:
    """An export of QEMU on this node: its socket and name.

    ``bitmap`` is the one that says what has changed; without it, everything is read.
    """

    socket: str
    name: str
    bitmap: str = ""


def send_image(path: str, size: int, write: Callable[[bytes], object]) -> None:
    """Write the stream of a file or device that nothing changes.

    :raises OSError: it cannot be read.
    """
    image = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = os.lseek(image, 0, os.SEEK_END)
        # Disks may be rounded up by their storage.
        if found < size:
            raise Failed(f"{path} has {found} bytes instead of {size}", Code.ENVIRONMENT)
        os.posix_fadvise(image, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        write(encode_head(StreamHead(size)))
        for extent in _read_image(image, size):
            write(encode_extent(extent))
        write(encode_end())
    finally:
        os.close(image)


def _read_image(image: int, size: int) -> Iterator[Extent]:
    offset = 0
    while offset < size:
        data_from = min(_next_data(image, offset), size)
        if data_from > offset:
            yield Extent(offset, data_from - offset)
            offset = data_from
            continue
        # To the next multiple, so that a chunk is one area.
        length = min(MAX_DATA - offset % MAX_DATA, size - offset)
        data = os.pread(image, length, offset)
        if not data:
            raise Failed("the disk became smaller while it was read", Code.ENVIRONMENT)
        yield make_extent(offset, data)
        offset += len(data)


def make_extent(offset: int, data: bytes) -> Extent:
    """Return an area, without its data if these are zeros."""
    return Extent(offset, len(data), None if data == _ZEROS[: len(data)] else data)


def _next_data(image: int, offset: int) -> int:
    """Return where the next data begin; ``offset`` itself for what has no holes."""
    try:
        return os.lseek(image, offset, os.SEEK_DATA)
    except OSError as e:
        if e.errno == errno.ENXIO:  # only a hole follows
            return os.lseek(image, 0, os.SEEK_END)
        return offset  # devices have no holes


def send_export(
    export: NbdExport, size: int, write: Callable[[bytes], object], switch: CancelSwitch
) -> None:
    """Write the stream of an export, or of what has changed in it.

    :raises Failed: QEMU does not export it any more.
    """
    with NbdClient(export.socket, export.name, switch, bitmap=export.bitmap) as client:
        if client.size < size:
            raise Failed(
                f"the guest's disk has {client.size} bytes instead of {size}", Code.ENVIRONMENT
            )
        write(encode_head(StreamHead(size, changes=bool(export.bitmap))))
        for area in client.list_areas(size):
            if export.bitmap and not area.dirty:
                continue
            if area.zero:
                write(encode_extent(Extent(area.offset, area.length)))
                continue
            offset, end = area.offset, area.offset + area.length
            while offset < end:
                length = min(MAX_DATA - offset % MAX_DATA, end - offset)
                write(encode_extent(make_extent(offset, client.read_area(offset, length))))
                offset += length
        write(encode_end())
