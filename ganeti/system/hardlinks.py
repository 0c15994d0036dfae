# SPDX-License-Identifier: BSD-2-Clause
"""Hard links, and a lock between daemons, for the storage that simulates several hosts on one.

Everything here blocks briefly, and nothing is durable: it is meant for trials.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 1 << 20


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """Lock a directory against other daemons, creating it if necessary."""
    os.makedirs(folder, 0o700, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def is_there(path: str) -> bool:
    return os.path.lexists(path)


def same(one: str, other: str) -> bool:
    """Return whether two paths are names of the same file."""
    try:
        return os.path.samefile(one, other)
    except FileNotFoundError:
        return False


def join(path: str, original: str) -> None:
    """Replace ``path`` by a hard link to the file ``original``."""
    new = f"{path}.new"
    # An earlier attempt may have been interrupted.
    with suppress(FileNotFoundError):
        os.unlink(new)
    os.link(original, new)
    # If both names are links to one file, rename(2) does nothing and keeps both.
    with suppress(FileNotFoundError):
        os.unlink(path)
    os.rename(new, path)


def part(path: str) -> None:
    """Replace ``path``, a hard link, by a copy of its file."""
    new = f"{path}.new"
    # An earlier attempt may have been interrupted.
    with suppress(FileNotFoundError):
        os.unlink(new)
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _copy(source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)
    os.rename(new, path)


def _copy(source: int, target: int) -> None:
    """Copy the data, without holes."""
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    end = 0
    while (start := _find_data(source, end)) is not None:
        end = os.lseek(source, start, os.SEEK_HOLE)
        for offset in range(start, end, _CHUNK):
            os.pwrite(target, os.pread(source, min(_CHUNK, end - offset), offset), offset)


def _find_data(handle: int, offset: int) -> int | None:
    try:
        return os.lseek(handle, offset, os.SEEK_DATA)
    except OSError as e:
        # ENXIO: there is no data from here to the end of the file (lseek(2)).
        if e.errno != errno.ENXIO:
            raise
        return None


def read(path: str) -> bytes | None:
    """Return the content of a small file; None if it does not exist."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(path: str, content: bytes | None) -> None:
    """Write a small file and create its directory; None removes the file."""
    if content is None:
        with suppress(FileNotFoundError):
            os.unlink(path)
        return
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    with open(f"{path}.new", "wb") as file:
        file.write(content)
    os.rename(f"{path}.new", path)
