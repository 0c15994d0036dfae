# SPDX-License-Identifier: BSD-2-Clause
"""A flow and a script that share a pipe: the failure of either ends the other.

The end of what is read from a pipe means that all of it was written, so our end of it is kept open
until that is known to be true. Of the two, the one that failed first says why.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from ganeti.errors import Failed
from ganeti.system.interfaces import IFlow, IStreams


class _Script:
    """A script that runs; ``ended`` is called when it has, with whether it succeeded."""

    def __init__(
        self, work: Coroutine[Any, Any, None], ended: Callable[[Failure | None], object]
    ) -> None:
        self.over = False
        self.failure: Failure | None = None
        self._ended = ended
        self._running = Deferred.fromCoroutine(work)
        self._running.addBoth(self._note)

    def _note(self, result: Failure | None) -> None:
        self.over = True
        self.failure = result if isinstance(result, Failure) else None
        self._ended(self.failure)

    async def end(self) -> None:
        """Return when it has ended, however; cancelling kills it."""
        await self._running

    async def kill(self) -> None:
        """Make sure that it has ended."""
        if not self.over:
            self._running.cancel()
            await self._running


async def into_script(
    streams: IStreams, flow: IFlow, script: Coroutine[Any, Any, None], read: int, write: int
) -> None:
    """Let ``script`` read from ``read`` what flows into ``write``; both are closed here.

    :raises Failed: the flow failed, or the script, which is gone in either case.
    """

    def ended(failure: Failure | None) -> None:
        streams.close(read)
        if failure is not None:
            flow.stop()

    running = _Script(script, ended)
    arrived = False
    try:
        await flow.ended()
        arrived = True
    except Failed as e:
        if running.failure is not None:
            running.failure.raiseException()
        if running.over:
            raise Failed(f"{e}; the script that reads had ended before", e.code) from None
        raise
    finally:
        if not arrived:
            await running.kill()
        streams.close(write)
    await running.end()
    if running.failure is not None:
        running.failure.raiseException()


async def from_script(
    streams: IStreams, flow: IFlow, script: Coroutine[Any, Any, None], write: int, says: int
) -> None:
    """Let what ``script`` writes into ``write`` flow on; it and ``says`` are closed here.

    :raises Failed: the flow failed, or the script, which is gone in either case.
    """
    lost: list[Failure] = []

    def ended(failure: Failure | None) -> None:
        # Stopped before the pipe is closed: the flow must not take this for the end of the data.
        if failure is not None:
            flow.stop()
        streams.close(says)
        streams.close(write)

    running = _Script(script, ended)

    async def watch() -> None:
        try:
            await flow.ended()
        except Failed:
            if not running.over:
                lost.append(Failure())
                await running.kill()

    watching = Deferred.fromCoroutine(watch())
    watching.addErrback(lambda failure: failure.trap(CancelledError))
    try:
        await running.end()
        if running.failure is not None and not lost:
            running.failure.raiseException()
        await flow.ended()
    finally:
        watching.cancel()
