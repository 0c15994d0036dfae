# SPDX-License-Identifier: BSD-2-Clause
"""What the job queue runs opcodes with: the operations, in the name of a job."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from ganeti.errors import JobCanceled
from ganeti.jobs.runner import OpcodeResult, OpcodeTask
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.perform import Performer

R = TypeVar("R")


@dataclass(frozen=True)
class _Owner:
    """A task of the queue, as operations know their owner."""

    task: OpcodeTask

    @property
    def job_id(self) -> int:
        return self.task.job_id

    @property
    def owner(self) -> str:
        return self.task.owner

    @property
    def priority(self) -> int:
        return self.task.priority

    def say(self, message: str) -> None:
        self.task.say(message)

    def note(self, kind: str, payload: Any) -> None:
        self.task.say(payload, kind)

    def may_stop(self) -> None:
        if self.task.cancel_requested():
            raise JobCanceled("the job was canceled while it ran; what it did was taken back")

    async def interruptible(self, work: Coroutine[Any, Any, R]) -> R:
        return await self.task.interruptible(work)

    async def journal_recovered(self) -> None:
        await self.task.journal_recovered()

    async def locked(self) -> None:
        await self.task.locked()


@dataclass(frozen=True)
class OperationRunner:
    """Runs opcodes by the operations that there are for them."""

    perform: Performer

    async def __call__(self, opcode: Opcode, task: OpcodeTask) -> OpcodeResult:
        """Run ``opcode`` for a job; see ``ganeti.jobs.runner.Runner``."""
        performed = await self.perform(opcode, _Owner(task))
        return OpcodeResult(performed.result, performed.finish)
