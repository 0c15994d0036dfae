# SPDX-License-Identifier: BSD-2-Clause
"""The exports on a node: one folder each, with a description and dumps of disks."""

from __future__ import annotations

import posixpath

from ganeti.errors import Code, Refused
from ganeti.paths import Paths
from ganeti.rpc import transfers as calls
from ganeti.rpc.transfers import NEW
from ganeti.system.interfaces import IFiles

DESCRIPTION = "config.ini"

OLD = ".replaced-"
"""The prefix of an export that is being replaced; no name of an instance begins with a dot."""


class Exports:
    """The folder of exports; the name of an incomplete export ends in ``.new``.

    One that is replaced is renamed first, so that a crash at any point leaves it or the new one.
    """

    def __init__(self, files: IFiles, paths: Paths) -> None:
        self._files = files
        self._root = paths.root
        self._folder = paths.exports

    async def remove_incomplete(self) -> None:
        """Remove incomplete exports of an earlier daemon, which no job continues.

        An export that it was replacing takes its place again, unless the new one has taken it.
        """
        for name in self._files.names(self._folder):
            if name.startswith(OLD):
                await self._restore_or_remove(name.removeprefix(OLD))
            elif name.endswith(NEW):
                await self._files.remove_folder(f"{self._folder}/{name}")

    async def _restore_or_remove(self, name: str) -> None:
        old, final = f"{self._folder}/{OLD}{name}", f"{self._folder}/{name}"
        if self._files.stat(final) is None:
            await self._files.rename(old, final)
        else:
            await self._files.remove_folder(old)

    async def list(self, call: calls.ListExports) -> list[str]:
        names = self._files.names(self._folder)
        return [name for name in names if not name.endswith(NEW) and not name.startswith(OLD)]

    async def describe(self, call: calls.DescribeExport) -> str:
        path = f"{self.path(call.path)}/{DESCRIPTION}"
        try:
            return self._files.read(path).decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError):
            raise Refused(f"no export found: {path} does not exist", Code.UNKNOWN) from None

    async def finalize(self, call: calls.FinalizeExport) -> None:
        new, final = (f"{self._folder}/{call.name}{end}" for end in (NEW, ""))
        await self._files.make_folder(new, mode=0o750)
        await self._files.replace(f"{new}/{DESCRIPTION}", call.description.encode(), mode=0o600)
        if self._files.stat(final) is not None:
            old = f"{self._folder}/{OLD}{call.name}"
            await self._files.remove_folder(old)
            await self._files.rename(final, old)
            await self._files.rename(new, final)
            await self._files.remove_folder(old)
        else:
            await self._files.rename(new, final)

    async def remove(self, call: calls.RemoveExportCall) -> None:
        await self._files.remove_folder(f"{self._folder}/{call.name}")

    async def sink(self, dump: calls.ExportData) -> str:
        """Create the folder of a new dump; return the path to write the dump to.

        :raises Refused: the name is not that of an incomplete export.
        """
        if posixpath.basename(dump.path) != dump.path or not dump.path.endswith(NEW):
            raise Refused(f"{dump.path} is not the name of an incomplete export (NAME{NEW})")
        folder = f"{self._folder}/{dump.path}"
        await self._files.make_folder(folder, mode=0o750)
        return f"{folder}/{dump.dump}"

    async def give_up(self, dump: calls.ExportData) -> None:
        """Remove the incomplete export that a dump belongs to."""
        if dump.path.endswith(NEW):
            await self._files.remove_folder(f"{self._folder}/{posixpath.basename(dump.path)}")

    def source(self, dump: calls.ExportData) -> str:
        """Return the path of a dump.

        :raises Refused: the dump does not exist.
        """
        path = f"{self.path(dump.path)}/{dump.dump}"
        if self._files.stat(path) is None:
            raise Refused(f"the export is incomplete: {path} does not exist", Code.UNKNOWN)
        return path

    def path(self, given: str) -> str:
        """Return the folder for an export name, a path below the folder of exports, or any path."""
        if given.startswith("/"):
            # First, as it may contain "..".
            path = posixpath.normpath(given)
            below_root = not self._root or path.startswith(self._root + "/")
            return path if below_root else self._root + path
        path = posixpath.normpath(posixpath.join(self._folder, given))
        if not path.startswith(self._folder + "/"):
            raise Refused(f"{given} is not below the export folder {self._folder}", Code.INPUT)
        return path
