# SPDX-License-Identifier: BSD-2-Clause
"""The exports that a node keeps: a folder for each, with a description and dumps of disks."""

from __future__ import annotations

import posixpath

from ganeti.errors import Code, Refused
from ganeti.paths import Paths
from ganeti.rpc import transfers as calls
from ganeti.rpc.transfers import NEW
from ganeti.system.interfaces import IFiles

DESCRIPTION = "config.ini"


class Exports:
    """The folder of exports; one that is being made has a name that ends in ``.new``."""

    def __init__(self, files: IFiles, paths: Paths) -> None:
        self._files = files
        self._root = paths.root
        self._folder = paths.exports

    async def tidy(self) -> None:
        """Remove what was being made when the daemon ended: nobody goes on with it."""
        for name in self._files.names(self._folder):
            if name.endswith(NEW):
                await self._files.remove_folder(f"{self._folder}/{name}")

    async def list(self, call: calls.ListExports) -> list[str]:
        return [name for name in self._files.names(self._folder) if not name.endswith(NEW)]

    async def describe(self, call: calls.DescribeExport) -> str:
        path = f"{self.path(call.path)}/{DESCRIPTION}"
        try:
            return self._files.read(path).decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError):
            raise Refused(f"there is no export: {path} does not exist", Code.UNKNOWN) from None

    async def finalize(self, call: calls.FinalizeExport) -> None:
        new, final = (f"{self._folder}/{call.name}{end}" for end in (NEW, ""))
        await self._files.make_folder(new, mode=0o750)
        await self._files.replace(f"{new}/{DESCRIPTION}", call.description.encode(), mode=0o600)
        # Until the new one is whole and durable, the old one is the one that can be imported.
        await self._files.remove_folder(final)
        await self._files.rename(new, final)

    async def remove(self, call: calls.RemoveExportCall) -> None:
        await self._files.remove_folder(f"{self._folder}/{call.name}")

    async def sink(self, dump: calls.OfExport) -> str:
        """Where a new dump is to be written; its folder is made.

        :raises Refused: it is not in an export that is being made.
        """
        if posixpath.basename(dump.path) != dump.path or not dump.path.endswith(NEW):
            raise Refused(f"{dump.path} is not the name of an export that is being made")
        folder = f"{self._folder}/{dump.path}"
        await self._files.make_folder(folder, mode=0o750)
        return f"{folder}/{dump.dump}"

    async def give_up(self, dump: calls.OfExport) -> None:
        """Remove the export that a dump was to become a part of."""
        if dump.path.endswith(NEW):
            await self._files.remove_folder(f"{self._folder}/{posixpath.basename(dump.path)}")

    def source(self, dump: calls.OfExport) -> str:
        """Where a dump is.

        :raises Refused: it is not there.
        """
        path = f"{self.path(dump.path)}/{dump.dump}"
        if self._files.stat(path) is None:
            raise Refused(f"the export is not whole: {path} does not exist", Code.UNKNOWN)
        return path

    def path(self, given: str) -> str:
        """The folder that is meant by a name, a path below the folder of exports, or any path."""
        if given.startswith("/"):
            below_root = not self._root or given.startswith(self._root + "/")
            return posixpath.normpath(given if below_root else self._root + given)
        path = posixpath.normpath(posixpath.join(self._folder, given))
        if not path.startswith(self._folder + "/"):
            raise Refused(f"{given} is not below the folder of exports", Code.INPUT)
        return path
