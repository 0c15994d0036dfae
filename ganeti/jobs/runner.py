# SPDX-License-Identifier: BSD-2-Clause
"""The interfaces between the queue and the code that runs opcodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from twisted.internet.defer import Deferred

from ganeti.journal.interfaces import Edit
from ganeti.opcodes.opcode import Opcode

R = TypeVar("R")

FinalCommit: TypeAlias = Callable[[Sequence[Edit]], Awaitable[object]]
"""Commit the last change of an opcode together with the given edits; raises ``CommitFailed``."""


class OpcodeTask(Protocol):
    """The job as seen by the code that runs one of its opcodes."""

    @property
    def job_id(self) -> int: ...

    @property
    def index(self) -> int:
        """The index of the opcode in the job, from 0."""
        ...

    @property
    def owner(self) -> str:
        """The owner name for locks."""
        ...

    @property
    def priority(self) -> int:
        """The current priority; it may change while the opcode waits."""
        ...

    def log_message(self, message: object, kind: str = "message") -> None:
        """Add a message to the log; it is stored in a later reactor turn, then shown."""

    async def locked(self) -> None:
        """Mark the opcode as running because its locks are held; durable when this returns.

        :raises JobCanceled: the job was canceled while it waited for locks.
        :raises CommitFailed: the commit failed; release all locks, the opcode will be run again.
        """

    def is_cancel_requested(self) -> bool:
        """Return whether to raise ``JobCanceled`` at the next step that can be undone."""
        ...

    async def interruptible(self, work: Coroutine[Deferred[object], object, R]) -> R:
        """Return the result of ``work``; cancel it when the job is canceled.

        :raises JobCanceled: the job was canceled before ``work`` ended.
        """
        ...

    async def journal_recovered(self) -> None:
        """Return when the journal works again after a failed commit.

        :raises CancelledError: the daemon is stopping.
        """
        ...


@dataclass(frozen=True)
class OpcodeResult:
    """The result of an opcode, as JSON; ``finish``, if set, commits the end of the opcode."""

    result: object
    finish: FinalCommit | None = None


class Runner(Protocol):
    """Runs one opcode of a job."""

    async def __call__(self, opcode: Opcode, task: OpcodeTask) -> OpcodeResult:
        """Run ``opcode``; call ``task.locked()`` once its locks are held and before any change.

        Any exception becomes the error that the opcode ends with. The run may be cancelled while it
        waits for locks, and later if the job is killed.
        """
        ...
