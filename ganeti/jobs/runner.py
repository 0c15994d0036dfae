# SPDX-License-Identifier: BSD-2-Clause
"""What the queue is handed to run opcodes with, and what it hands to that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from ganeti.journal.interfaces import Edit
from ganeti.opcodes.opcode import Opcode

R = TypeVar("R")

Finish: TypeAlias = Callable[[Sequence[Edit]], Awaitable[object]]
"""Commits the last change of an opcode along with the given edits; raises ``NotKept``."""


class OpcodeTask(Protocol):
    """What the run of an opcode may ask of its job."""

    @property
    def job_id(self) -> int: ...

    @property
    def index(self) -> int:
        """Which opcode of the job this is, from 0."""
        ...

    @property
    def owner(self) -> str:
        """The name under which locks are held."""
        ...

    @property
    def priority(self) -> int:
        """The priority as it is now; it may change while the opcode waits."""
        ...

    def say(self, message: Any, kind: str = "message") -> None:
        """Add a message to the log; it is stored soon, and shown once it is."""

    async def locked(self) -> None:
        """The locks are held: the opcode runs from here on, durably when this returns.

        :raises JobCanceled: it was canceled while it waited.
        :raises NotKept: the move was not kept; let go of everything, the opcode will be run again.
        """

    def cancel_requested(self) -> bool:
        """Whether to stop at the next step that can be taken back, by raising ``JobCanceled``."""
        ...

    async def interruptible(self, work: Coroutine[Any, Any, R]) -> R:
        """Return what ``work`` does, and cancel it when the job is canceled.

        :raises JobCanceled: the job was canceled before ``work`` had ended.
        """
        ...

    async def journal_recovered(self) -> None:
        """Return when the journal, which could not keep a change, works again.

        :raises CancelledError: the daemon is stopping.
        """
        ...


@dataclass(frozen=True)
class OpcodeResult:
    """The result of an opcode, as JSON; with ``finish``, its end is committed by that."""

    result: Any
    finish: Finish | None = None


class Runner(Protocol):
    """Runs one opcode for a job."""

    async def __call__(self, opcode: Opcode, task: OpcodeTask) -> OpcodeResult:
        """Run ``opcode``; call ``task.locked()`` once its locks are held, before anything is done.

        Whatever it raises is the error that the opcode ends with. It may be cancelled while it
        waits for its locks, and later if somebody insists.
        """
        ...
