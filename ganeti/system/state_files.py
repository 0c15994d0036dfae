# SPDX-License-Identifier: BSD-2-Clause
"""Records as small files in a directory."""

from __future__ import annotations

import os
from contextlib import suppress
from urllib.parse import quote, unquote

from zope.interface import implementer

from ganeti.system.interfaces import IStateFiles


@implementer(IStateFiles)
class LocalStateFiles:
    """One file per record in ``folder``, which is created when needed.

    A record is replaced by a rename but not synced: it describes processes, which do not survive a
    crash of the host either.
    """

    def __init__(self, folder: str, *, mode: int = 0o640) -> None:
        self._folder = folder
        self._mode = mode

    def put(self, name: str, content: bytes) -> None:
        path = self._path(name)
        # A fixed name, as one daemon writes here: what a crash leaves is overwritten next time.
        fresh = f"{self._folder}/.{os.path.basename(path)}"
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, self._mode)
        except FileNotFoundError:
            os.makedirs(self._folder, mode=0o750, exist_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, self._mode)
        # Buffered: a write to a file system that is nearly full may be a part only, and the record
        # must not be replaced by that.
        with open(descriptor, "wb") as file:
            file.write(content)
        os.rename(fresh, path)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._path(name))

    def read_all(self) -> dict[str, bytes]:
        try:
            names = sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return {}
        found = {}
        for name in names:
            if not name.startswith("."):
                with open(f"{self._folder}/{name}", "rb") as file:
                    found[unquote(name)] = file.read()
        return found

    def _path(self, name: str) -> str:
        # Names with a leading dot are temporary files, or the directory itself.
        return f"{self._folder}/{quote(name, safe='').replace('.', '%2E', 1)}"
