# SPDX-License-Identifier: BSD-2-Clause
"""Runs searches for placements in a process of its own, see ``ganeti.placement.solver``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import msgspec
from twisted.internet.defer import DeferredLock

from ganeti.errors import Code, Failed
from ganeti.placement import solver
from ganeti.placement.solver import Answer, Question, decode_answer
from ganeti.system.interfaces import IProcesses
from ganeti.system.subprocess_modules import module_environment

_TIMEOUT = 300.0
"""Timeout of the program, in seconds; its searches have shorter limits."""


@dataclass(frozen=True)
class SolverProgram:
    """A ``PlacementSolver`` that starts a process for each question, one at a time."""

    processes: IProcesses
    _one: DeferredLock = field(default_factory=DeferredLock)

    async def __call__(self, question: Question) -> Answer:
        """Return the answer of the program."""
        async with self._one:
            return await self._run(question)

    async def _run(self, question: Question) -> Answer:
        ended = await self.processes.run(
            [sys.executable, "-m", solver.__name__],
            env=module_environment(),
            stdin=msgspec.json.encode(question),
            timeout=_TIMEOUT,
        )
        if ended.code:
            said = ended.err.decode("utf-8", "replace").strip()
            raise Failed(
                f"the search for placements failed: {said or f'exit code {ended.code}'}",
                Code.INTERNAL,
            )
        return decode_answer(question, ended.out)
