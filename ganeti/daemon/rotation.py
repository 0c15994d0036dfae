# SPDX-License-Identifier: BSD-2-Clause
"""Making new secrets of the cluster in a process of its own.

So the authority's key is in the memory of no daemon.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from ganeti.errors import Code, Failed
from ganeti.paths import Paths
from ganeti.system.interfaces import IProcesses
from ganeti.system.modules import finding_modules

TIMEOUT = 60.0
"""Seconds."""


@dataclass(frozen=True)
class RotationProgram:
    """Replaces the secrets on this host by running ``ganeti.bootstrap.renewal``."""

    processes: IProcesses
    paths: Paths

    async def __call__(self) -> None:
        """See ``ganeti.operations.operation.Rotate``."""
        ended = await self.processes.run(
            [sys.executable, "-m", "ganeti.bootstrap.renewal"],
            env={**finding_modules(), "GANETI_ROOTDIR": self.paths.root},
            timeout=TIMEOUT,
        )
        if ended.code:
            why = ended.err.decode("utf-8", "replace").strip()
            raise Failed(f"no new secrets were made: {why}", Code.ENVIRONMENT)
