# SPDX-License-Identifier: BSD-2-Clause
"""Out-of-band helpers: programs of an administrator that control the power of other nodes."""

from __future__ import annotations

import posixpath
import re
import stat
from collections.abc import Iterator

from ganeti.errors import Code, Failed, Refused
from ganeti.rpc.node import RunPowerHelper
from ganeti.system.interfaces import IFiles, IProcesses

_ABSOLUTE_PATH = re.compile("/[^/].*")
_ROOT = 0
_REFUSED = 1
"""The exit code of a helper that could not do it and has written the reason to stderr."""


class PowerHelpers:
    """Runs the helper in a node's parameter ``oob_program``, on the master's node."""

    def __init__(self, files: IFiles, processes: IProcesses) -> None:
        self._files = files
        self._processes = processes

    async def run(self, call: RunPowerHelper) -> str:
        """Run a helper and return its output.

        :raises Refused: the program does not exist, or other users than root could have written it.
        :raises Failed: the program failed; the message has its output.
        """
        program = call.oob_program
        found = self._files.stat(program)
        if not _ABSOLUTE_PATH.fullmatch(program) or posixpath.normpath(program) != program:
            raise Refused(
                f"{program} is not a normalized absolute path; set oob_program to a path that"
                " starts with / and has no . or .. components",
                Code.INPUT,
            )
        if found is None or found.folder or not found.mode & stat.S_IXUSR:
            raise Refused(f"{program} is not an executable file on this node", Code.ENVIRONMENT)
        # With access to a folder, another user could replace what is in it.
        for path in _list_parents(program):
            self._check_trusted(path)
        argv = [program, call.command, call.remote_node]
        ended = await self._processes.run(argv, timeout=call.timeout)
        if ended.code == _REFUSED:
            output = ended.err.decode("utf-8", "replace").strip()
            raise Failed(output or f"{program} failed without a message", Code.ENVIRONMENT)
        if ended.code:
            output = (ended.err + ended.out).decode("utf-8", "replace").strip()
            raise Failed(f"{program} exited with code {ended.code}: {output}", Code.ENVIRONMENT)
        return ended.out.decode("utf-8", "replace")

    def _check_trusted(self, path: str) -> None:
        """Check that only root can change or replace ``path``.

        :raises Refused: other users can.
        """
        found = self._files.stat(path)
        if found is None:
            raise Refused(f"{path} does not exist on this node", Code.ENVIRONMENT)
        # In a folder with the sticky bit, such as /tmp, only root can replace files of root.
        writable = found.mode & (stat.S_IWGRP | stat.S_IWOTH)
        if found.owner != _ROOT or (writable and not (found.folder and found.mode & stat.S_ISVTX)):
            raise Refused(
                f"{path} is writable by other users than root; helpers there are not run. Fix it"
                f" with: chown root {path}; chmod go-w {path}",
                Code.ENVIRONMENT,
            )


def _list_parents(path: str) -> Iterator[str]:
    """Yield ``path`` and all folders above it."""
    while True:
        yield path
        if path == "/":
            return
        path = posixpath.dirname(path)
