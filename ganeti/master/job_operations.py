# SPDX-License-Identifier: BSD-2-Clause
"""The connection between the queue and the operations: runs opcodes in the name of a job."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TypeVar

from twisted.internet.defer import Deferred

from ganeti.errors import JobCanceled
from ganeti.jobs.runner import OpcodeResult, OpcodeTask
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.perform import Performer

R = TypeVar("R")


@dataclass(frozen=True)
class _TaskOwner:
    """Adapts a task of the queue to the interface of operations."""

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

    def log_message(self, message: str) -> None:
        self.task.log_message(message)

    def log_entry(self, kind: str, payload: object) -> None:
        self.task.log_message(payload, kind)

    def may_stop(self) -> None:
        if self.task.is_cancel_requested():
            raise JobCanceled("the job was canceled while running; its changes were undone")

    async def interruptible(self, work: Coroutine[Deferred[object], object, R]) -> R:
        return await self.task.interruptible(work)

    async def journal_recovered(self) -> None:
        await self.task.journal_recovered()

    async def locked(self) -> None:
        await self.task.locked()


@dataclass(frozen=True)
class OperationRunner:
    """Runs opcodes with their operations; implements ``Runner``."""

    perform: Performer

    async def __call__(self, opcode: Opcode, task: OpcodeTask) -> OpcodeResult:
        """Run ``opcode`` for a job; see ``ganeti.jobs.runner.Runner``."""
        performed = await self.perform(opcode, _TaskOwner(task))
        return OpcodeResult(performed.result, performed.finish)
