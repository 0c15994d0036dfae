# SPDX-License-Identifier: BSD-2-Clause
"""Out-of-band helpers: programs of an administrator that switch the power of other nodes."""

from __future__ import annotations

import posixpath
import re
import stat
from collections.abc import Iterator

from ganeti.errors import Code, Failed, Refused
from ganeti.rpc.node import RunPowerHelper
from ganeti.system.interfaces import IFiles, IProcesses

_WHOLE_PATH = re.compile("/[^/].*")
_ROOT = 0
_REFUSED = 1
"""The exit code with which a helper says that it could not, and why."""


class PowerHelpers:
    """Runs the helper that a node's parameter ``oob_program`` names, here on the master's node."""

    def __init__(self, files: IFiles, processes: IProcesses) -> None:
        self._files = files
        self._processes = processes

    async def run(self, call: RunPowerHelper) -> str:
        """What the helper writes.

        :raises Refused: there is no such program, or others than root might have put it there.
        :raises Failed: it did not succeed; with its words.
        """
        program = call.oob_program
        found = self._files.stat(program)
        if not _WHOLE_PATH.fullmatch(program) or posixpath.normpath(program) != program:
            raise Refused(
                f"{program} is not the whole path of a program; set oob_program to one that starts"
                " with / and has no . or .. in it",
                Code.INPUT,
            )
        if found is None or found.folder or not found.mode & stat.S_IXUSR:
            raise Refused(f"{program} is no program on this node", Code.ENVIRONMENT)
        for path in _with_folders(program):
            self._require_trusted(path)
        argv = [program, call.command, call.remote_node]
        ended = await self._processes.run(argv, timeout=call.timeout)
        if ended.code == _REFUSED:
            said = ended.err.decode("utf-8", "replace").strip()
            raise Failed(said or f"{program} does not say why", Code.ENVIRONMENT)
        if ended.code:
            said = (ended.err + ended.out).decode("utf-8", "replace").strip()
            raise Failed(f"{program} ended with {ended.code}: {said}", Code.ENVIRONMENT)
        return ended.out.decode("utf-8", "replace")

    def _require_trusted(self, path: str) -> None:
        """:raises Refused: others than root can change what is at ``path``, or replace it."""
        found = self._files.stat(path)
        if found is None:
            raise Refused(f"{path} does not exist on this node", Code.ENVIRONMENT)
        # In a folder with the sticky bit, as /tmp has it, nobody replaces what is root's.
        writable = found.mode & (stat.S_IWGRP | stat.S_IWOTH)
        if found.owner != _ROOT or (writable and not (found.folder and found.mode & stat.S_ISVTX)):
            raise Refused(
                f"{path} can be changed by others than root, so no helper of there is run; let it"
                f" be root's alone: chown root {path}; chmod go-w {path}",
                Code.ENVIRONMENT,
            )


def _with_folders(path: str) -> Iterator[str]:
    """Return ``path`` and all folders above it."""
    while True:
        yield path
        if path == "/":
            return
        path = posixpath.dirname(path)
