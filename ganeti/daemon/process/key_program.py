# SPDX-License-Identifier: BSD-2-Clause
"""Programs for the keys of the cluster, which run as processes of their own.

So the key of an authority is never in the memory of a daemon.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from ganeti.errors import Code, Failed
from ganeti.paths import Paths
from ganeti.system.interfaces import IProcesses
from ganeti.system.subprocess_modules import module_environment

TIMEOUT = 60.0
"""Seconds that a program may take."""


@dataclass(frozen=True)
class KeyProgram:
    """Runs a ``module``; ``purpose`` begins the message if it fails."""

    processes: IProcesses
    paths: Paths
    module: str
    purpose: str

    async def run(self, *arguments: str) -> bytes:
        """Return what the program writes.

        :raises Failed: it fails; with what it says.
        """
        ended = await self.processes.run(
            [sys.executable, "-m", self.module, *arguments],
            env={**module_environment(), "GANETI_ROOTDIR": self.paths.root},
            timeout=TIMEOUT,
        )
        if ended.code:
            why = ended.err.decode("utf-8", "replace").strip()
            raise Failed(f"{self.purpose} ({' '.join(arguments)}): {why}", Code.ENVIRONMENT)
        return ended.out
