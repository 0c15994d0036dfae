# SPDX-License-Identifier: BSD-2-Clause
"""Undo steps for operations that fail half-way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from twisted.logger import Logger

from ganeti.config.writer import CancelledAfterCommit
from ganeti.errors import CommitFailed
from ganeti.operations.operation import Progress

Step: TypeAlias = Callable[[], Awaitable[object]]


class Undo:
    """A context manager with undo steps, which run newest first if the block fails.

    A failed step is reported in the log and in the job's log, and the others still run. A step
    whose change the journal could not store is retried when the journal works again, because an
    instance would otherwise stay in the configuration without its disks. If the block failed
    because of such a change, no step runs before that. None runs if the block was cancelled while
    it waited for a change that was made.
    """

    _log = Logger()

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._steps: list[tuple[str, Step]] = []

    def by(self, what: str, step: Step) -> None:
        """Add a step that runs if the block fails later; ``what`` completes *could not …*."""
        self._steps.append((what, step))

    def drop_newest(self) -> None:
        """Drop the newest step, whose action was not carried out."""
        self._steps.pop()

    async def __aenter__(self) -> Undo:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is GeneratorExit:
            return  # the coroutine is being garbage collected, and can no longer await
        if kind is CancelledAfterCommit:
            return
        if kind is not None and issubclass(kind, CommitFailed) and self._steps:
            # Copies of the journal may have the change, and until they have given it up, another
            # master would adopt it: what was done for it must not be taken back before.
            await self._progress.journal_recovered()
        for what, step in reversed(self._steps if kind else []):
            try:
                await self._run_step(step)
            except Exception:  # not GeneratorExit, see above
                self._log.failure("could not {what}", what=what)
                self._progress.log_message(f"could not {what}; see the master's log")

    async def _run_step(self, step: Step) -> None:
        while True:
            try:
                await step()
                return
            except CommitFailed:
                await self._progress.journal_recovered()
