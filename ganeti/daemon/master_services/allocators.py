# SPDX-License-Identifier: BSD-2-Clause
"""Runs instance allocators: programs that read a request from a file and write an answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from itertools import count

from ganeti.errors import Code, Failed, Invalid
from ganeti.system.interfaces import IFiles, IProcesses

_NAME = re.compile(r"\A[a-zA-Z0-9_-][a-zA-Z0-9_.-]*\Z")
_TIMEOUT = 600.0
"""Timeout of an allocator, in seconds."""
_EXECUTABLE = 0o100


class Allocators:
    """The allocators in ``search_path``; of several with the same name, the first is used.

    Request files are created in ``folder`` and removed afterwards.
    """

    def __init__(
        self, files: IFiles, processes: IProcesses, search_path: Sequence[str], folder: str
    ) -> None:
        self._files = files
        self._processes = processes
        self._search_path = search_path
        self._folder = folder
        self._numbers = count(1)

    async def __call__(
        self, name: str, request: Callable[[], Awaitable[str]], options: Sequence[str] = ()
    ) -> str:
        """Run an allocator; return what it writes to its standard output.

        :raises Failed: if there is no such allocator (``Code.UNKNOWN``), or it fails; with its
            output.
        """
        program = self._find(name)
        text = await request()
        await self._files.make_folder(self._folder, mode=0o700)
        path = f"{self._folder}/{name}.{next(self._numbers)}"
        await self._files.replace(path, text.encode(), mode=0o600)
        try:
            ended = await self._processes.run([program, path, *options], timeout=_TIMEOUT)
        finally:
            await self._files.remove(path)
        if ended.code:
            said = (ended.err + ended.out).decode("utf-8", "replace").strip()
            raise Failed(said or f"exit code {ended.code}", Code.RESOURCES)
        return ended.out.decode("utf-8", "replace")

    def installed(self, name: str) -> bool:
        """Return whether an allocator of this name is installed."""
        try:
            self._find(name)
        except (Failed, Invalid):
            return False
        return True

    def _find(self, name: str) -> str:
        if not _NAME.match(name):
            raise Invalid(f"{name} is not a valid name of an allocator")
        for folder in self._search_path:
            path = f"{folder}/{name}"
            stat = self._files.stat(path)
            if stat is not None and not stat.folder and stat.mode & _EXECUTABLE:
                return path
        where = ", ".join(self._search_path)
        raise Failed(f"there is no allocator {name} in {where}", Code.UNKNOWN)
