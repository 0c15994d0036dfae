# SPDX-License-Identifier: BSD-2-Clause
"""Files, devices and pipes as the ends of a transfer; everything here blocks."""

from __future__ import annotations

import errno
import os
import select
import stat

from ganeti.system.cancellation import CancelSwitch

CHUNK = 1 << 17
"""Bytes per read and write: small enough to stay in the processor's cache in between."""

_ZEROS = bytes(CHUNK)


class FileSource:
    """A file or device, read from its start to its end."""

    def __init__(self, path: str, *, follow: bool = True) -> None:
        """Without ``follow``, a symbolic link is an error."""
        flags = os.O_RDONLY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        self._file = os.open(path, flags)
        # Makes the kernel read ahead twice as far (posix_fadvise(2)).
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def read_into(self, view: memoryview) -> int:
        """Read into ``view``; return the number of bytes, 0 at the end."""
        return os.readv(self._file, [view])

    def close(self) -> None:
        os.close(self._file)


class FileSink:
    """A file or device, written from its start.

    Zeros are not written into holes of a file, so that a sparse disk remains sparse.
    """

    def __init__(self, path: str, *, create: bool, room: int | None) -> None:
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW * create
        if create:
            flags |= os.O_CREAT | os.O_TRUNC
        self._file = os.open(path, flags, 0o600)
        self._path, self._new, self._room = path, create, room
        self._holes = stat.S_ISREG(os.fstat(self._file).st_mode)
        self._at = 0

    def write_from(self, buffer: bytearray, amount: int) -> None:
        """Write the first ``amount`` bytes of ``buffer``."""
        if self._room is not None and self._at + amount > self._room:
            raise OSError(errno.EFBIG, "the data is larger than the disk")
        if self._holes and self._is_hole(buffer, amount):
            self._at += amount
            return
        with memoryview(buffer) as view:
            done = 0
            while done < amount:
                # Written at an offset, as holes before it were skipped.
                done += os.pwrite(self._file, view[done:amount], self._at + done)
        self._at += amount

    def _is_hole(self, buffer: bytearray, amount: int) -> bool:
        # The C library compares bytearray and bytes, and stops at the first difference.
        zeros = _ZEROS if amount == CHUNK else _ZEROS[:amount]
        if not buffer.startswith(zeros):
            return False
        try:
            return os.lseek(self._file, self._at, os.SEEK_DATA) >= self._at + amount
        except OSError as e:
            return e.errno == errno.ENXIO  # no data from here to the end of the file

    def complete(self) -> None:
        """Make everything durable."""
        # Zeros at the end were skipped as well, so that the file may be too short.
        if self._holes and os.fstat(self._file).st_size < self._at:
            os.ftruncate(self._file, self._at)
        os.fsync(self._file)
        if self._new:
            folder = os.open(os.path.dirname(self._path), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def close(self) -> None:
        os.close(self._file)


class PipeSource:
    """The output of a program; this object owns the descriptor."""

    def __init__(self, descriptor: int, switch: CancelSwitch) -> None:
        self._pipe, self._switch = descriptor, switch
        # With poll(2), the thread can also be woken by a cancellation.
        os.set_blocking(descriptor, False)

    def read_into(self, view: memoryview) -> int:
        """Read into ``view``; return the number of bytes, 0 at the end."""
        while True:
            try:
                return os.readv(self._pipe, [view])
            except BlockingIOError:
                self._switch.wait(self._pipe, select.POLLIN)

    def close(self) -> None:
        os.close(self._pipe)


class PipeSink:
    """The input of a program; this object owns the descriptor."""

    def __init__(self, descriptor: int, switch: CancelSwitch) -> None:
        self._pipe, self._switch = descriptor, switch
        # With poll(2), the thread can also be woken by a cancellation.
        os.set_blocking(descriptor, False)

    def write_from(self, buffer: bytearray, amount: int) -> None:
        """Write the first ``amount`` bytes of ``buffer``."""
        with memoryview(buffer) as view:
            done = 0
            while done < amount:
                try:
                    done += os.write(self._pipe, view[done:amount])
                except BlockingIOError:
                    self._switch.wait(self._pipe, select.POLLOUT)

    def complete(self) -> None:
        """Do nothing, as the program reports its own success."""

    def close(self) -> None:
        os.close(self._pipe)
