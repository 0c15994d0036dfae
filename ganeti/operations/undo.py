# SPDX-License-Identifier: BSD-2-Clause
"""Taking back what was done when a later step fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from twisted.logger import Logger

from ganeti.config.writer import ChangeMade
from ganeti.errors import NotKept
from ganeti.operations.operation import Progress

Step: TypeAlias = Callable[[], Awaitable[object]]


class Undo:
    """Steps that take back what was done, run newest first if the block fails.

    A step that fails itself is logged and told to the job's owner, and the others still run. One
    whose change the journal could not keep is repeated when the journal works again: what it takes
    back would stay in the configuration without its disks. None runs if the block was cancelled
    while it waited for a change that was made all the same.
    """

    _log = Logger()

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._steps: list[tuple[str, Step]] = []

    def by(self, what: str, step: Step) -> None:
        """Run ``step`` if the block fails from here on; ``what`` completes *could not …*."""
        self._steps.append((what, step))

    def forget(self) -> None:
        """Never run the newest step: what it would take back was not done."""
        self._steps.pop()

    async def __aenter__(self) -> Undo:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is GeneratorExit:
            return  # thrown away with its process: nothing can be waited for any more
        if kind is ChangeMade:
            return
        for what, step in reversed(self._steps if kind else []):
            try:
                await self._take_back(step)
            except Exception:  # but not GeneratorExit: this is thrown away with its process
                self._log.failure("could not {what}", what=what)
                self._progress.say(f"could not {what}; see the master's log")

    async def _take_back(self, step: Step) -> None:
        while True:
            try:
                await step()
                return
            except NotKept:
                await self._progress.journal_recovered()
