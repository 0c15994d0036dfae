# SPDX-License-Identifier: BSD-2-Clause
"""Uploads of images on this host: complete files that a job makes part of the library.

The remote API puts them into the same folder; node daemons take them from there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from ganeti.errors import Code, Failed
from ganeti.paths import Paths

_CHUNK = 1 << 20
_PART = ".part"


def store_upload(paths: Paths, source: BinaryIO, shows: Callable[[int], None]) -> str:
    """Copy ``source`` to the uploads of this host; return the name of the upload.

    ``shows`` is called with the number of bytes copied so far.

    :raises Failed: it cannot be stored; nothing stays of it.
    """
    name = secrets.token_hex(16)
    path = f"{paths.uploads}/{name}"
    try:
        os.makedirs(paths.uploads, mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path + _PART, flags, 0o600), "wb", buffering=0) as file:
            _copy(source, file, shows)
            os.fsync(file.fileno())
        os.rename(path + _PART, path)
    except OSError as e:
        with suppress(OSError):
            os.unlink(path + _PART)
        raise Failed(
            f"the image cannot be stored in {paths.uploads}: {e.strerror or e}", Code.ENVIRONMENT
        ) from None
    except BaseException:
        with suppress(OSError):
            os.unlink(path + _PART)
        raise
    return name


def _copy(source: BinaryIO, file: BinaryIO, shows: Callable[[int], None]) -> None:
    done = 0
    while data := source.read(_CHUNK):
        with memoryview(data) as view:
            written = 0
            while written < len(data):
                written += file.write(view[written:])
        done += len(data)
        shows(done)


def remove_upload(paths: Paths, name: str) -> None:
    """Remove an upload; succeed if it does not exist."""
    with suppress(OSError):
        os.unlink(f"{paths.uploads}/{name}")
