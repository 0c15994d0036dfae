# SPDX-License-Identifier: BSD-2-Clause
"""Out-of-band helpers: programs of an administrator that switch the power of other nodes."""

from __future__ import annotations

import stat

from ganeti.errors import Code, Failed, Refused
from ganeti.rpc.node import RunPowerHelper
from ganeti.system.interfaces import IFiles, IProcesses

_REFUSED = 1
"""The exit code with which a helper says that it could not, and why."""


class PowerHelpers:
    """Runs the helper that a node's parameter ``oob_program`` names, here on the master's node."""

    def __init__(self, files: IFiles, processes: IProcesses) -> None:
        self._files = files
        self._processes = processes

    async def run(self, call: RunPowerHelper) -> str:
        """What the helper writes.

        :raises Refused: there is no such program, or anybody might have put it there.
        :raises Failed: it did not succeed; with its words.
        """
        program = call.oob_program
        found = self._files.stat(program)
        if found is None or found.folder or not found.mode & stat.S_IXUSR:
            raise Refused(f"{program} is no program on this node", Code.ENVIRONMENT)
        if found.mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Refused(
                f"{program} can be changed by others than its owner; let it be: "
                f"chmod go-w {program}",
                Code.ENVIRONMENT,
            )
        argv = [program, call.command, call.remote_node]
        ended = await self._processes.run(argv, timeout=call.timeout)
        if ended.code == _REFUSED:
            said = ended.err.decode("utf-8", "replace").strip()
            raise Failed(said or f"{program} does not say why", Code.ENVIRONMENT)
        if ended.code:
            said = (ended.err + ended.out).decode("utf-8", "replace").strip()
            raise Failed(f"{program} ended with {ended.code}: {said}", Code.ENVIRONMENT)
        return ended.out.decode("utf-8", "replace")
